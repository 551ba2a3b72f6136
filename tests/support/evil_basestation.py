"""A basestation that relays a connection whose keys it chose, and does with the packets what it likes."""

from device_bench import FINGERPRINT
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.paths import PathKind
from homeport.client.session.rekey import Rekey
from homeport_core.crypto import AesContext
from homeport_core.errors import AuthError
from homeport_core.packet import Packet, encode
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FRAMING_END_TO_END,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    PT_DATA,
    TAG_FRAMING,
)
from session_world import CLIENT, DEVICE_GLOBAL, GSP, MATERIAL, NSI
from stack_world import StackWorld

E2E_KEY_ID = b"\x48\x50\xe2\x01" + bytes(range(0x40, 0x4C))
E2E_KEY = bytes(range(0x60, 0x70))
HELLO = FRAMING_END_TO_END.to_bytes(4)


class EvilWorld(StackWorld):
    """Client and device share an end-to-end key; all packets pass `up(plaintext, data)` and `down(plaintext, data)`.

    `plaintext` is what the basestation can read of a packet, None for one that it cannot. Both return the datagrams
    to pass on. `read` holds all plaintexts, `seen_up` and `seen_down` all datagrams.
    """

    def __init__(self, **network):
        super().__init__(**network)
        self.bench.app.end_to_end = (E2E_KEY_ID, E2E_KEY)
        self.client_end = AesContext(MATERIAL, True)  # what the basestation may claim to be
        self.device_end = AesContext(MATERIAL, False)
        self.up = self.down = lambda plaintext, data: [data]
        self.read = []
        self.seen_up = []
        self.seen_down = []
        self._forged = 0

    def introduce_keyed(self, *kinds, rekey=True):
        """Introduce client and device to each other, by default through the relay alone; the client insists on its key
        (or has none)."""
        kinds = frozenset(kinds or (PathKind.RELAY,))
        is_direct = PathKind.DIRECT in kinds
        flags = IPX_CP_ASYNC | (0 if is_direct else IPX_NO_RENDEZVOUS)
        client, device = (CLIENT, DEVICE_GLOBAL) if is_direct else (ENDPOINT_ZERO, ENDPOINT_ZERO)
        assert self.bench.introduce(flags=flags, global_=client, nsi=NSI) == 1
        self._collect_device()
        exchange = Rekey(NSI, FINGERPRINT, E2E_KEY_ID, E2E_KEY, self.rng) if rekey else None
        introduction = Introduction(NSI, MATERIAL, GSP, ENDPOINT_ZERO, device, 0)
        return self.connect(IntroducedOpening(introduction, kinds, self.rng, rekey=exchange))

    def peek(self, data):
        """The plaintext of a packet under the keys that the basestation chose, else None."""
        for context in (self.client_end, self.device_end):
            packet = Packet()
            packet.decode_from(bytearray(data))
            try:
                return context.open(packet)
            except AuthError:
                continue
        return None

    def forged_up(self, plaintext, tag=None, nsi=NSI, seq=7, context=None):
        """A packet to the device under the basestation's keys, or others."""
        return self._forged_by(context or self.client_end, plaintext, 0, tag, nsi, seq)

    def forged_down(self, plaintext, flags, tag=None, seq=7, cp=b"\x99\x99\x99\x99"):
        """A packet to the client under the basestation's keys."""
        return self._forged_by(self.device_end, plaintext, flags, tag, NSI, seq, cp)

    def give_device(self, data):
        """Send the device a datagram from the basestation; returns what it answers at once."""
        self.bench.now_ms = self._ticks()
        return self.bench.deliver(1, data, GSP)

    def requests_sent(self):
        """How many packets the client has sent that are not framing control."""
        return len([data for data in self.seen_up if not is_framing(data)])

    def post(self, data, source, to):
        if source != GSP or to != CLIENT:
            super().post(data, source, to)
            return
        self.seen_down.append(data)
        for passed in self.down(self._note(data), data):
            super().post(passed, source, to)

    def _relay(self, data, source):
        self.seen_up.append(data)
        for passed in self.up(self._note(data), data):
            super()._relay(passed, source)

    def _note(self, data):
        plaintext = self.peek(data)
        if plaintext is not None:
            self.read.append(plaintext)
        return plaintext

    def _forged_by(self, context, plaintext, flags, tag, nsi, seq, cp=b"\x99\x99\x99\x99"):
        self._forged += 1
        iv = b"forged iv " + self._forged.to_bytes(6)
        return encode(
            PT_DATA, sp=nsi, seq=seq, flags=flags, cp=cp, tag=tag, context=context, plaintext=plaintext, iv=iv
        )


def is_framing(data):
    """Whether a DATA packet is framing control."""
    packet = Packet()
    packet.decode_from(bytearray(data))
    return packet.tag == TAG_FRAMING
