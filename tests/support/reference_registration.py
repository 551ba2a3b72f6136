"""How the reference device registers: strict in what it takes, silent or in the clear about what it does not."""

import os

from homeport_core.crypto import AesContext, key_material
from homeport_core.errors import AuthError
from homeport_core.packet import PacketWriter, encode
from homeport_core.payloads import (
    build_attach_stats,
    build_capability,
    build_id,
    build_ipx,
    build_notify,
    build_piggy,
    build_version,
    parse_ipx,
)
from homeport_core.spec import (
    DESCR_APPLICATION,
    DESCR_URL,
    FL_RESPONSE,
    ID_URL,
    NOTIFY_OK,
    NSI_ZERO,
    PL_ATTACH_STATS,
    PL_CAPABILITY,
    PL_CRYPTO,
    PL_DESCR,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_PIGGY,
    PL_SP_ID,
    PL_STATS,
    PL_VERSION,
    PLF_OPTIONAL,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_INVITE,
    SUITE_AES,
    VERSION_MICRO_DEVICE,
)
from reference_parts import BITS, MASK, RECEIVE_MAX, address


class Registration:
    """Part of `ReferenceDevice`."""

    def _reset(self):
        self.state = "WAIT_BS"
        self.nonce = os.urandom(32)
        self.gsp = None
        self.attachment = None
        self.context = None
        self._due = 0.0

    def _identity(self, writer):
        writer.add(PL_VERSION, build_version(VERSION_MICRO_DEVICE, 4, 6, 0, b"-alpha.0"))

    def _invite(self):
        writer = PacketWriter(bytearray(RECEIVE_MAX))
        writer.begin(PT_U_INVITE)
        self._identity(writer)
        if self.state == "WAIT_GSP":
            writer.add(PL_NONCE, self.nonce)
            writer.add(PL_DESCR, build_id(DESCR_APPLICATION, b"-"), PLF_OPTIONAL)
            writer.add(PL_DESCR, build_id(DESCR_URL, b"http://x/"), PLF_OPTIONAL)
            writer.add(PL_CAPABILITY, build_capability(0, 0, (SUITE_AES,)))
        writer.add(PL_SP_ID, build_id(ID_URL, self.device_id))
        writer.finish()
        self._send(self.controller if self.state == "WAIT_BS" else self.gsp, writer.bytes())

    def _directed(self, packet):
        if packet.flags != FL_RESPONSE or packet.sp != NSI_ZERO:
            return
        ipx = parse_ipx(packet.get(PL_IPX))
        self.gsp, self.seen_as = address(ipx.private), ipx.global_
        self.state = "WAIT_GSP"
        self._due = 0.0

    def _attach(self, packet):
        if self.state != "WAIT_GSP" or packet.flags:
            return
        kinds = [kind for kind, _, _ in packet.payloads()]
        keys = AesContext(key_material(self.device_id, self.key), False)
        nonce, seen = packet.get(PL_NONCE), packet.get(PL_EP)
        if kinds != [PL_EP, PL_NONCE, PL_CRYPTO] or len(seen) != 6 or len(nonce) != 32:
            self._attach_failed(1)
            return
        try:
            plaintext = keys.open(packet)
        except AuthError:
            self._attach_failed(9)
            return
        if len(plaintext) != 64 or plaintext[:32] != self.nonce:
            self._attach_failed(8)
            return
        seed = bytes(range(0x40, 0x60))
        port = self._remote.getsockname()[1].to_bytes(2, "big")
        payloads = [
            (PL_CAPABILITY, build_capability(BITS, MASK)),
            (PL_IPX, build_ipx(bytes(4) + port, self.seen_as, 0 if seen == self.seen_as else 7)),
            (PL_NOTIFY, build_notify(NOTIFY_OK)),
        ]
        self.context = AesContext(key_material(nonce + self.nonce, plaintext[32:] + seed), False)
        self.attachment = packet.sp
        self.state = "ATTACHED"
        self.attaches += 1
        answer = encode(
            PT_U_ATTACH, payloads, sp=packet.sp, seq=packet.seq, flags=FL_RESPONSE, context=keys,
            plaintext=nonce + seed, iv=bytes(range(16)),
        )  # fmt: skip
        self._send(self.gsp, answer)

    def _attach_failed(self, status):
        writer = PacketWriter(bytearray(RECEIVE_MAX))
        writer.begin(PT_STATS)
        writer.add(PL_STATS, b"\x07")
        self._identity(writer)
        writer.add(PL_SP_ID, build_id(ID_URL, self.device_id))
        writer.add(PL_ATTACH_STATS, build_attach_stats(1, status, 1))
        writer.finish()
        self._send(self.controller, writer.bytes())

    def _alive(self, packet):
        if self.state != "ATTACHED" or packet.flags or packet.sp != self.attachment:
            return
        self.alive.append(packet.seq)
        if packet.seq != self._piggy[0]:
            self._piggy = packet.seq, self.event
            self.event = b""
        self._send_alive(packet.seq, self._piggy[1])

    def _send_alive(self, seq, event):
        payloads = [(PL_NOTIFY, build_notify(NOTIFY_OK))]
        if event:
            payloads.append((PL_PIGGY, build_piggy(event)))
        self._send(self.gsp, encode(PT_U_ALIVE, payloads, sp=self.attachment, seq=seq, flags=FL_RESPONSE))
