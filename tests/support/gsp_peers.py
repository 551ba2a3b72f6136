"""What stands opposite the basestation in tests: a device and a client, written with the core alone, and their
inventory. Small and without timers: a test decides when anything is sent, repeated or lost."""

import random

from homeport.basestation.carrier import seen_endpoint
from homeport.basestation.devices import DeviceRecord
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import GspSettings
from homeport.wire import endpoint
from homeport_core.crypto import AesContext, key_material
from homeport_core.errors import ProtocolError
from homeport_core.packet import Packet, encode
from homeport_core.payloads import (
    build_capability,
    build_id,
    build_ipx,
    build_notify,
    build_piggy,
    build_version,
    parse_ipx,
)
from homeport_core.spec import (
    CAP_FP,
    CAP_MICRO,
    CAP_TAG,
    CAP_UDP,
    DESCR_APPLICATION,
    ENDPOINT_ZERO,
    FL_RESPONSE,
    FRAMING_KEEP_ALIVE,
    ID_URL,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_DESCR,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_PIGGY,
    PL_SP_ID,
    PL_TIME,
    PL_VERSION,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    SUITE_AES,
    TAG_FRAMING,
    VERSION_MICRO_DEVICE,
)

VERSION = build_version(VERSION_MICRO_DEVICE, 4, 6, 0, b"-alpha.0")
CAPABILITIES = CAP_MICRO | CAP_UDP | CAP_TAG | CAP_FP
GSP_ADDRESS = ("192.0.2.1", 5565)
GSP_ENDPOINT = endpoint(GSP_ADDRESS)
FINGERPRINT = bytes(range(16))


class Inventory(dict):
    """Devices by id, as the machines look them up."""

    def provision(self, device_id, psk=b"\x07" * 16, enabled=True):
        self[device_id] = DeviceRecord(device_id, psk, enabled)
        return self[device_id]


def make_rng(seed=1):
    return random.Random(seed).randbytes


def make_gsp(*device_ids, seed=1, **settings):
    """A GSP with provisioned devices; returns (gsp, inventory)."""
    inventory = Inventory()
    for device_id in device_ids:
        inventory.provision(device_id)
    return Gsp(GspSettings(**settings), inventory, make_rng(seed)), inventory


def opened(data):
    """The packet, decoded; its buffer may be decrypted in place."""
    packet = Packet()
    packet.decode_from(bytearray(data))
    return packet


def drain(machine):
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    return events


class Device:
    """A device as the GSP sees it. `take` answers what a device would; nothing happens by itself."""

    def __init__(self, device_id=b"dev1.example.net", psk=b"\x07" * 16, address=("198.51.100.7", 40000), seed=2):
        self.device_id = device_id
        self.psk = psk
        self.address = address
        self.rng = make_rng(seed)
        self.capabilities = CAPABILITIES
        self.nat_type = 0
        self.private = ENDPOINT_ZERO
        self.event = b""
        self.answer_code = NOTIFY_OK
        self.connections = {}
        self.restart()

    def restart(self):
        """Forget the registration; the next invite has a fresh nonce."""
        self.nonce = self.rng(32)
        self.nsi = None
        self.key = None

    def invite(self, nonce=None, suite=SUITE_AES, controller=False):
        payloads = [(PL_VERSION, VERSION)]
        if not controller:
            payloads.append((PL_NONCE, self.nonce if nonce is None else nonce))
            payloads.append((PL_DESCR, bytes((DESCR_APPLICATION,)) + b"-"))
            payloads.append((PL_CAPABILITY, build_capability(0, 0, (suite,))))
        payloads.append((PL_SP_ID, build_id(ID_URL, self.device_id)))
        return encode(PT_U_INVITE, payloads)

    def context(self):
        return AesContext(key_material(self.device_id, self.psk), False)

    def take(self, data):
        """Answers to one packet from the GSP."""
        packet = opened(data)
        handler = {PT_U_ATTACH: self._attach, PT_U_ALIVE: self._alive, PT_U_CONNECT: self._connect}.get(packet.type)
        return [] if handler is None else handler(packet)

    def poll(self):
        """The unsolicited U_ALIVE of a device that has heard nothing."""
        return encode(PT_U_ALIVE, ((PL_NOTIFY, build_notify(NOTIFY_OK)),), sp=self.nsi, flags=FL_RESPONSE)

    def attach_answer(self, sp, gsp_nonce, gsp_seed, seq=1, code=NOTIFY_OK, context=None, flags=FL_RESPONSE):
        seed = self.rng(32)
        self.nsi = sp
        self.key = key_material(gsp_nonce + self.nonce, gsp_seed + seed)
        payloads = (
            (PL_CAPABILITY, build_capability(self.capabilities, 0xB3C)),
            (PL_IPX, build_ipx(self.private, seen_endpoint(self.address), self.nat_type)),
            (PL_NOTIFY, build_notify(code)),
        )
        return encode(
            PT_U_ATTACH,
            payloads,
            sp=sp,
            seq=seq,
            flags=flags,
            context=context or self.context(),
            plaintext=gsp_nonce + seed,
            iv=self.rng(16),
        )

    def _attach(self, packet):
        if self.nsi is not None:
            return []
        gsp_nonce = packet.get(PL_NONCE)
        try:
            plaintext = self.context().open(packet)
        except ProtocolError:
            return []
        if plaintext[:32] != self.nonce or packet.get(PL_EP) != seen_endpoint(self.address):
            return []
        return [self.attach_answer(packet.sp, gsp_nonce, plaintext[32:], packet.seq)]

    def _alive(self, packet):
        if packet.sp != self.nsi or packet.flags:
            return []
        self.unix_s = packet.get(PL_TIME)
        payloads = [(PL_NOTIFY, build_notify(NOTIFY_OK))]
        if self.event:
            payloads.append((PL_PIGGY, build_piggy(self.event)))
        return [encode(PT_U_ALIVE, payloads, sp=packet.sp, seq=packet.seq, flags=FL_RESPONSE)]

    def _connect(self, packet):
        ipx = parse_ipx(packet.get(PL_IPX))
        key = AesContext(self.key, False).open(packet)
        if self.answer_code == NOTIFY_OK:
            self.connections[ipx.sp] = key
        notify = build_notify(self.answer_code, ipx.sp)
        return [encode(PT_U_CONNECT, ((PL_NOTIFY, notify),), sp=packet.sp, seq=packet.seq, flags=FL_RESPONSE)]

    def data(self, nsi, plaintext=b"answer", seq=1):
        """A DATA packet to the client of that connection."""
        context = AesContext(self.connections[nsi], False)
        return encode(PT_DATA, (), sp=nsi, seq=seq, context=context, plaintext=plaintext, iv=self.rng(16))


class Client:
    """A client that was introduced: it has the session's NSI and key."""

    def __init__(self, nsi, key, address=("203.0.113.9", 50000), seed=3):
        self.nsi = nsi
        self.key = key
        self.address = address
        self.rng = make_rng(seed)
        self.counter = 0

    def data(self, plaintext, tag=None, seq=1, key=None):
        context = AesContext(key or self.key, True)
        return encode(PT_DATA, (), sp=self.nsi, seq=seq, tag=tag, context=context, plaintext=plaintext, iv=self.rng(16))

    def keep_alive(self, counter=None, key=None):
        if counter is None:
            self.counter += 1
            counter = self.counter
        plaintext = FRAMING_KEEP_ALIVE.to_bytes(4, "big") + counter.to_bytes(4, "big")
        return self.data(plaintext, tag=TAG_FRAMING, key=key)


def attach(gsp, device, now_ms=0):
    """Run a whole attach; returns what the GSP sent last (its first U_ALIVE)."""
    ((packet, _),) = gsp.datagram(now_ms, device.invite(), device.address)
    (answer,) = device.take(packet)
    return gsp.datagram(now_ms, answer, device.address)


def exchange(gsp, device, datagrams, now_ms=0):
    """Let the device answer what the GSP sent it; returns what the GSP sends then."""
    out = []
    for packet, address in datagrams:
        if address == device.address:
            for answer in device.take(packet):
                out += gsp.datagram(now_ms, answer, device.address)
    return out
