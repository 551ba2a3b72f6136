"""Connect requests: introductions by the GSP, and clear requests on the local network (specification, core 5.2,
5.3, 6.3).

An introduction counts only from the GSP endpoint, while attached, under the attachment's keys, and once: its NSI
is refused after use until the keys change. On the local network anybody may ask; the answer says who is let in.
"""

from homeport_core.crypto import AesContext, NullContext
from homeport_core.errors import AuthError, MalformedError
from homeport_core.payloads import build_capability, build_notify, parse_fp, parse_id, parse_ipx, u32
from homeport_core.spec import (
    CLIENT_ID_MAX,
    FL_RESPONSE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NAT_MASK,
    IPX_NO_RENDEZVOUS,
    KEY_MATERIAL_LEN,
    LOCAL_NSI_MAX,
    NAT_SYMMETRIC,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_ENCR_MISMATCH,
    NOTIFY_OK,
    NSI_LEN,
    NSI_ZERO,
    PL_CAPABILITY,
    PL_CP_ID,
    PL_FP,
    PL_GW,
    PL_IPX,
    PL_NOTIFY,
)

from homeport_device.attach import ATTACHED
from homeport_device.connection import Connection
from homeport_device.drops import AUTH, MALFORMED, OFF, REPLAY, SOURCE, STATE, TAKEN
from homeport_device.identity import CAPABILITY_MASK, capability_bits
from homeport_device.output import LOCAL
from homeport_device.rendezvous import Rendezvous


class Connect:
    """Answers U_CONNECT requests and adds the connections they ask for to the stack's table."""

    __slots__ = ("_clear", "_stack")

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self._clear = NullContext()

    def introduce(self, now_ms: int, packet: object, source: bytes) -> int:
        """U_CONNECT from the GSP endpoint `source`."""
        stack = self._stack
        attach = stack.attach
        if attach.state != ATTACHED or packet.flags & FL_RESPONSE or stack.connections.find(packet.cp) is not None:
            return STATE
        try:
            ipx = parse_ipx(packet.get(PL_IPX) or b"")
        except MalformedError:
            return MALFORMED
        if ipx.sp == NSI_ZERO:
            return MALFORMED
        # Without an NSI the connection gets one of ours, and its MAC tells the introduction from others.
        mark = ipx.sp or packet.mac()[:NSI_LEN]
        nsi = ipx.sp or stack.connections.new_nsi()
        connection = Connection(nsi, packet.cp, None, attach.socket, source, now_ms)
        self._describe(connection, packet, ipx)
        material = self._open(packet, attach.context)
        if material is None:
            self._answer(packet, connection, NOTIFY_ENCR_MISMATCH)
            return AUTH
        if stack.connections.find(connection.nsi) is not None:
            self._answer(packet, connection, NOTIFY_OK)  # a retransmission; no other effect
            return TAKEN
        if stack.connections.was_introduced(mark):
            return REPLAY
        connection.install(AesContext(material, False), stack.config.replay_window)
        if not self._admit(now_ms, packet, connection, None):
            return TAKEN
        stack.bar(connection)
        self._search(now_ms, connection, ipx)
        if stack.config.tcp_fallback and ipx.co:
            connection.co = ipx.co
            offer = packet.get(PL_GW)
            if offer is not None:
                from homeport_device import tcp_fallback

                tcp_fallback.begin(stack, connection, ipx.cp, offer)
        if not stack.connections.note_introduction(mark):
            attach.renew(now_ms)
        return TAKEN

    def take_local(self, now_ms: int, packet: object, source: bytes) -> int:
        """U_CONNECT with IPX at the local socket: a clear connection, its client's name merely claimed."""
        stack = self._stack
        if not stack.config.local_clear:
            return OFF
        if packet.flags & FL_RESPONSE or stack.connections.find(packet.cp) is not None:
            return STATE
        try:
            ipx = parse_ipx(packet.get(PL_IPX) or b"")
        except MalformedError:
            return MALFORMED
        if ipx.sp and u32(ipx.sp, 0) <= LOCAL_NSI_MAX:
            return MALFORMED
        open_already = stack.connections.find(ipx.sp) if ipx.sp else None
        if open_already is not None:
            if open_already.is_authentic or open_already.peer != source:
                return SOURCE
            self._answer(packet, open_already, NOTIFY_OK)
            return TAKEN
        nsi = ipx.sp or stack.connections.new_nsi()
        connection = Connection(nsi, packet.cp, self._clear, LOCAL, source, now_ms)
        connection.is_local = True
        self._describe(connection, packet, ipx)
        self._admit(now_ms, packet, connection, connection.source)
        return TAKEN

    def _describe(self, connection: Connection, packet: object, ipx: object) -> None:
        """Who the client says, or the GSP says, that it is."""
        connection.is_async = bool(ipx.flags & IPX_CP_ASYNC)
        connection.announced = ipx.global_
        connection.client_id = client_name(packet, self._stack.config)
        connection.fingerprint = parse_fp(packet.get(PL_FP) or b"")

    def _open(self, packet: object, context: object) -> bytes | None:
        """The 96 octets of key material under the attachment's keys, or None."""
        try:
            material = context.open(packet)
        except AuthError:
            return None
        return material if len(material) == KEY_MATERIAL_LEN else None

    def _admit(self, now_ms: int, packet: object, connection: Connection, source: bytes | None) -> bool:
        """Find a slot, ask the application, answer; True when the connection is in the table."""
        stack = self._stack
        victim = stack.connections.victim(source)
        if victim is None and not stack.connections.has_room(source):
            self._answer(packet, connection, NOTIFY_BUSY_MICRO)
            return False
        if not stack.app.connection_allowed(connection):
            self._answer(packet, connection, NOTIFY_CP_ACCESS)
            return False
        if victim is not None:
            stack.release(now_ms, victim)
        stack.connections.add(connection)
        self._answer(packet, connection, NOTIFY_OK)
        return True

    def _search(self, now_ms: int, connection: Connection, ipx: object) -> None:
        """Begin the rendezvous at the next timeout, or be ready to answer one."""
        search = Rendezvous(
            self._stack.output, now_ms, connection.nsi, ipx.private, ipx.global_, ipx.flags & IPX_NAT_MASK
        )
        if ipx.flags & IPX_NO_RENDEZVOUS:
            search.decline()
        else:
            if self._stack.config.many_ports:
                search.try_ports()
            if self._stack.attach.nat_type == NAT_SYMMETRIC:
                from homeport_device.search import try_sockets

                try_sockets(self._stack, now_ms, search)
        connection.rendezvous = search

    def _answer(self, packet: object, connection: Connection, code: int) -> None:
        output = self._stack.output
        writer = output.writer
        writer.reply_to(packet, FL_RESPONSE)
        writer.add(PL_NOTIFY, build_notify(code, connection.nsi))
        if connection.is_local:
            bits = capability_bits(self._stack.config, True)
            writer.add(PL_CAPABILITY, build_capability(bits, CAPABILITY_MASK))
        output.send(connection.socket, connection.peer)


def client_name(packet: object, config: object) -> bytes:
    """The client's name in CP_ID: at most 64 octets; empty without one, or where the product wants none."""
    data = packet.get(PL_CP_ID)
    if not data or not config.client_names:
        return b""
    kind, name = parse_id(data)
    return name[:CLIENT_ID_MAX] if kind == ID_MAIL else b""
