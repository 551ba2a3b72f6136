"""Registration with the basestation (specification, core 4).

The device asks a controller which session server (GSP) to use, invites that GSP with a fresh nonce, and proves
its key over the nonce that comes back; from then on alive requests keep the attachment. Requests are repeated on
a fixed schedule. Whatever fails leads back to IDLE, from where everything starts anew with a new nonce and, when no
connection is open, a new port. Open connections survive all of this. An attachment is left on silence alone:
no packet, forged or real, can end it.

Where UDP gets no answer, and the product has TCP, invites go over a TCP connection to the controller as well. The way
over which the controller's answer comes is that of the whole registration (docs/extensions.md).
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.crypto import AesContext, ct_equal, key_material
from homeport_core.errors import AuthError, MalformedError, StateError
from homeport_core.payloads import build_capability, build_ipx, build_notify, build_piggy, parse_ipx
from homeport_core.spec import (
    ATTACH_CONTROLLER_FAILED,
    ATTACH_DECRYPTION,
    ATTACH_GSP_FAILED,
    ATTACH_INTEGRITY,
    ATTACH_MALFORMED,
    ATTACH_NONCE,
    ATTACH_TIMEOUT,
    ENDPOINT_LEN,
    ENDPOINT_ZERO,
    FL_RESPONSE,
    NAT_SYMMETRIC,
    NAT_UNKNOWN,
    NONCE_LEN,
    NOTIFY_OK,
    NSI_ZERO,
    PL_CAPABILITY,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_PIGGY,
    PT_U_ALIVE,
    PT_U_ATTACH,
    SEED_LEN,
)

from homeport_device.drops import AUTH, MALFORMED, SOURCE, STATE, TAKEN
from homeport_device.identity import CAPABILITY_MASK, capability_bits, write_gsp_invite, write_invite
from homeport_device.output import REMOTE

# States
IDLE = const(0)
WAIT_DNS = const(1)
WAIT_BS = const(2)
WAIT_GSP = const(3)
ATTACHED = const(4)

# Events
LOOK_UP = const(0)  # the name of the controller has to be resolved
ADDRESSED = const(1)  # controller addresses are known
DIRECTED = const(2)  # the controller named a GSP
PROVED = const(3)  # the GSP proved the key
FAILED = const(4)  # no answer in time
STOPPED = const(5)  # remote access was switched off

TRANSITIONS = (
    (IDLE, LOOK_UP, WAIT_DNS),
    (IDLE, ADDRESSED, WAIT_BS),
    (IDLE, STOPPED, IDLE),
    (WAIT_DNS, ADDRESSED, WAIT_BS),
    (WAIT_DNS, FAILED, IDLE),
    (WAIT_DNS, STOPPED, IDLE),
    (WAIT_BS, DIRECTED, WAIT_GSP),
    (WAIT_BS, FAILED, IDLE),
    (WAIT_BS, STOPPED, IDLE),
    (WAIT_GSP, PROVED, ATTACHED),
    (WAIT_GSP, FAILED, IDLE),
    (WAIT_GSP, STOPPED, IDLE),
    (ATTACHED, FAILED, IDLE),
    (ATTACHED, STOPPED, IDLE),
)

# Schedules (core 4.2): waits of 2 s doubled at most four times.
_RETRY_MS = const(2000)
_DOUBLINGS_MAX = const(4)
_INVITES = const(6)
_CONTROLLERS_MAX = const(6)
# Invites unanswered until TCP is tried as well.
_UDP_PATIENCE = const(2)
# Where U_ATTACH must have its payloads (core 4.5.1): EP, NONCE, CRYPTO and nothing else.
_ATTACH_EP_OFF = const(20)
_ATTACH_NONCE_OFF = const(30)
_ATTACH_CRYPTO_OFF = const(66)


class Attach:
    """The registration machine. `context` is the key context C between GSP and device while attached, else None."""

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self.state = IDLE
        self.deadline_ms = None
        self.socket = REMOTE  # the way of this registration: a UDP socket or a TCP link
        self.controller = self.gsp = self.seen_as = ENDPOINT_ZERO
        self.nat_type = NAT_UNKNOWN
        self.context = None
        self._nsi = NSI_ZERO
        self._controllers = ()
        self._nonce = b""
        self._challenge = None  # key context A, while the GSP is awaited
        self.invites = 0  # sent in this state; when attached, polls since the last alive request
        self.name_failures = 0  # in a row
        self._heard = False  # an alive request came since attaching
        self._may_report = False  # one failure report for each invite
        self._tcp = None  # `tcp_attach.TcpAttach`, from when UDP was not enough

    # Intent and time

    def start(self, now_ms: int) -> None:
        """Register, beginning at the next timeout."""
        if self.state == IDLE:
            self.nat_type = NAT_UNKNOWN
            self.deadline_ms = now_ms

    def stop(self) -> None:
        """Forget the attachment and stay idle."""
        self._enter(STOPPED)
        self.context = self._challenge = None
        self.deadline_ms = None
        if self._tcp is not None:
            self._tcp.close()

    def renew(self, now_ms: int) -> None:
        """Leave the attachment for a new one with new keys, at once."""
        self._enter(FAILED)
        self.context = None
        self.nat_type = NAT_UNKNOWN
        self.deadline_ms = now_ms

    def restart(self, now_ms: int) -> None:
        """Register anew at once, on another network perhaps."""
        if self.state != IDLE:
            self.renew(now_ms)
        self._challenge = None
        self.name_failures = 0
        self.deadline_ms = now_ms
        if self._tcp is not None:
            self._tcp.close()

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        if self.deadline_ms is None or ticks.diff(now_ms, self.deadline_ms) < 0:
            return
        if self.state == IDLE:
            self._begin(now_ms)
        elif self.state == WAIT_BS:
            self._invite_controller(now_ms)
        elif self.state == WAIT_GSP:
            self._invite_gsp(now_ms)
        else:
            self._poll(now_ms)

    def resolved(self, now_ms: int, addresses: list | None) -> None:
        """The answer to `port.resolve`: IPv4 addresses (4 octets; 6 with a port of their own), or None or empty."""
        if self.state != WAIT_DNS:
            return
        if not addresses:
            wait_ms = _RETRY_MS << min(self.name_failures, _DOUBLINGS_MAX)
            self.name_failures += 2
            self._fail(now_ms, wait_ms)
            return
        self.name_failures = 0
        port = self._stack.config.controller_port.to_bytes(2, "big")
        self._controllers = [
            address if len(address) == ENDPOINT_LEN else address + port for address in addresses[:_CONTROLLERS_MAX]
        ]
        self._await_controller(now_ms)

    # Packets

    def take_invite_answer(self, now_ms: int, packet: object, socket: object, source: bytes) -> int:
        """U_INVITE response of the controller (core 4.3)."""
        awaited = self.controller if self.state == WAIT_BS and socket == REMOTE else None
        if awaited is None and self._tcp is not None:
            awaited = self._tcp.awaits(socket)
        if packet.flags != FL_RESPONSE or packet.sp != NSI_ZERO or awaited is None:
            return STATE
        if source != awaited:
            return SOURCE
        try:
            ipx = parse_ipx(packet.get(PL_IPX) or b"")
        except MalformedError:
            return MALFORMED
        if not any(ipx.private[:4]) or not any(ipx.private[4:]):
            return MALFORMED
        if self.state == ATTACHED:
            self.renew(now_ms)
            return TAKEN
        self.socket = socket
        self.gsp = ipx.private if socket == REMOTE else source
        self.seen_as = ipx.global_
        self._challenge = AesContext(key_material(self._stack.config.device_id.encode(), self._stack.config.key), False)
        if self.state == WAIT_BS:
            self._enter(DIRECTED)
        self.invites = 0
        self._invite_gsp(now_ms)
        return TAKEN

    def take_attach(self, now_ms: int, packet: object, source: bytes) -> int:
        """U_ATTACH request of the GSP (core 4.5.1): check it in full, then prove the key in turn."""
        if self.state != WAIT_GSP or packet.flags:
            return STATE
        if source != self.gsp:
            return SOURCE
        if not _is_attach(packet):
            return self._refuse(ATTACH_MALFORMED, MALFORMED)
        try:
            self._challenge.verify(packet)
        except AuthError:
            return self._refuse(ATTACH_INTEGRITY, AUTH)
        nonce_gsp = packet.get(PL_NONCE)
        endpoint = packet.get(PL_EP)
        try:
            off, n = self._challenge.decrypt_in_place(packet)
        except AuthError:
            return self._refuse(ATTACH_DECRYPTION, AUTH)
        plaintext = bytes(packet.buf[off : off + n])
        if len(plaintext) != NONCE_LEN + SEED_LEN or not ct_equal(plaintext[:NONCE_LEN], self._nonce):
            return self._refuse(ATTACH_NONCE, AUTH)
        if endpoint != self.seen_as:
            self.nat_type = NAT_SYMMETRIC
        self._prove(now_ms, packet, nonce_gsp, plaintext[NONCE_LEN:])
        return TAKEN

    def take_alive(self, now_ms: int, packet: object, source: bytes) -> int:
        """U_ALIVE request of the GSP (core 4.7): answer it, with an event when there is one."""
        if self.state != ATTACHED or packet.flags or packet.sp != self._nsi:
            return STATE
        if source != self.gsp:
            return SOURCE
        self._heard = True
        self.invites = 0
        if self.socket != REMOTE:
            self._tcp.alive(now_ms)
        self.deadline_ms = ticks.add(now_ms, self._stack.config.alive_poll_ms)
        if self._stack.clock is not None:
            self._stack.clock.hear(now_ms, packet)
        self._send_alive(packet.seq, self._stack.events.fetch(packet.seq))
        return TAKEN

    # TCP

    def lose_way(self, now_ms: int) -> None:
        """The connection that this registration went over is gone: begin anew."""
        if self.state == ATTACHED:
            self.renew(now_ms)
        elif self.state == WAIT_GSP:
            self._fail(now_ms, _RETRY_MS)

    def _fall_back(self, now_ms: int, patience: int) -> None:
        """An invite went out over UDP: after so many of them TCP is tried beside it."""
        if not self._stack.config.tcp_fallback or self.invites <= patience:
            return
        if self._tcp is None:
            from homeport_device.tcp_attach import TcpAttach

            self._tcp = TcpAttach(self._stack)
        self._tcp.begin(now_ms, self.controller)

    # Steps

    def _enter(self, event: int) -> None:
        """The only writer of `state`."""
        for state, on, following in TRANSITIONS:
            if state == self.state and on == event:
                self.state = following
                return
        raise StateError("registration: event not expected in this state", (self.state, event))

    def _begin(self, now_ms: int) -> None:
        config = self._stack.config
        self.context = None
        self._nonce = self._stack.rng(NONCE_LEN)
        if not self._stack.connections.any_open():
            self._stack.port.reopen()
        if config.controllers:
            self._controllers = config.controllers
            self._await_controller(now_ms)
        else:
            self._enter(LOOK_UP)
            self.deadline_ms = None
            self._stack.port.resolve(config.controller_host or config.device_id)

    def _await_controller(self, now_ms: int) -> None:
        self._enter(ADDRESSED)
        self.invites = 0
        self._invite_controller(now_ms)

    def _invite_controller(self, now_ms: int) -> None:
        """Transmission k goes to address k; the last one stands for all that are missing (core 4.2)."""
        if self.invites == _INVITES:
            self._fail(now_ms, _RETRY_MS)
            self._stack.reports.attach_failed(self.controller, ATTACH_CONTROLLER_FAILED)
            return
        self.controller = self._controllers[min(self.invites, len(self._controllers) - 1)]
        write_invite(self._stack.output.writer, self._stack.config)
        self._stack.output.send(REMOTE, self.controller)
        self.deadline_ms = ticks.add(now_ms, _RETRY_MS << min(self.invites, _DOUBLINGS_MAX))
        self.invites += 1
        self._fall_back(now_ms, 0 if self._tcp is not None and self._tcp.times else _UDP_PATIENCE)

    def _invite_gsp(self, now_ms: int) -> None:
        if self.invites == _INVITES:
            self._fail(now_ms, _RETRY_MS)
            self._stack.reports.attach_failed(self.controller, ATTACH_GSP_FAILED)
            return
        write_gsp_invite(self._stack.output.writer, self._stack.config, self._nonce)
        self._stack.output.send(self.socket, self.gsp)
        self._may_report = True
        self.invites += 1
        self.deadline_ms = ticks.add(now_ms, _RETRY_MS << min(self.invites, _DOUBLINGS_MAX))
        if self.socket == REMOTE:
            self._fall_back(now_ms, _UDP_PATIENCE)

    def _prove(self, now_ms: int, packet: object, nonce_gsp: bytes, seed_gsp: bytes) -> None:
        """Answer with our seed; this makes us attached, whether the answer arrives or not."""
        seed = self._stack.rng(SEED_LEN)
        output = self._stack.output
        writer = output.writer
        local = self._stack.port.local_endpoint()
        writer.begin(PT_U_ATTACH, packet.sp, packet.seq, FL_RESPONSE)
        writer.add(PL_CAPABILITY, build_capability(capability_bits(self._stack.config), CAPABILITY_MASK))
        writer.add(PL_IPX, build_ipx(local, self.seen_as, self.nat_type))
        writer.add(PL_NOTIFY, build_notify(NOTIFY_OK))
        output.seal(self._challenge, nonce_gsp + seed)
        output.send(self.socket, self.gsp)
        if self._tcp is not None:
            self._tcp.attached(now_ms)
        self.context = AesContext(key_material(nonce_gsp + self._nonce, seed_gsp + seed), False)
        self._challenge = None
        self._nsi = packet.sp
        self._enter(PROVED)
        self._heard = False
        self.invites = 0
        self._stack.events.reset()
        self._stack.connections.forget_introductions()
        self.deadline_ms = ticks.add(now_ms, self._stack.config.alive_poll_ms)

    def _refuse(self, status: int, reason: int) -> int:
        """Tell the controller why U_ATTACH was not good enough, once for each invite; keep waiting."""
        if self._may_report:
            self._may_report = False
            self._stack.reports.attach_failed(self.controller, status)
        return reason

    def _poll(self, now_ms: int) -> None:
        """Silence: ask for an alive request, or give the attachment up."""
        self.invites += 1
        if self.invites >= self._stack.config.alive_polls:
            self.renew(now_ms)
            if not self._heard:
                self._stack.reports.attach_failed(self.controller, ATTACH_TIMEOUT)
            return
        self._send_alive(0, b"")
        self.deadline_ms = ticks.add(now_ms, self._stack.config.alive_poll_ms)

    def _send_alive(self, seq: int, event: bytes) -> None:
        writer = self._stack.output.writer
        writer.begin(PT_U_ALIVE, self._nsi, seq, FL_RESPONSE)
        writer.add(PL_NOTIFY, build_notify(NOTIFY_OK))
        if event:
            writer.add(PL_PIGGY, build_piggy(event))
        self._stack.output.send(self.socket, self.gsp)

    def _fail(self, now_ms: int, wait_ms: int) -> None:
        self._enter(FAILED)
        self._challenge = None
        self.deadline_ms = ticks.add(now_ms, wait_ms)


def _is_attach(packet: object) -> bool:
    """Whether the payloads are exactly EP, NONCE (32) and CRYPTO, for an attachment with an NSI."""
    return (
        packet.sp != NSI_ZERO
        and packet.find(PL_EP) == _ATTACH_EP_OFF
        and packet.found_len == ENDPOINT_LEN
        and packet.find(PL_NONCE) == _ATTACH_NONCE_OFF
        and packet.found_len == NONCE_LEN
        and packet.crypto_off == _ATTACH_CRYPTO_OFF
    )
