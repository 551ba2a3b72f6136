"""The reference device as the specification and the captures show it, with its quirks, on real sockets in a thread.

It is strict where the reference drops in silence, and careless where the reference is: repeated requests run again,
endpoints that it does not know are zero, its PSK handshake adds nothing random and has version 0, discovery has stray
octets. It is a small build that receives 272 octets at a time. Written with the core alone.
"""

import select
import socket
import threading
import time

from homeport_core.crypto import AesContext
from homeport_core.errors import AuthError, MalformedError
from homeport_core.packet import Packet, PacketWriter, encode
from homeport_core.payloads import (
    build_id,
    build_ipx,
    build_items,
    build_notify,
    build_rendezvous_stats,
    parse_fp,
    parse_ipx,
    u16,
    u32,
)
from homeport_core.spec import (
    AER_NO_QUERY_ID,
    FL_EXCEPTION,
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_KEEP_ALIVE,
    ID_URL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    KEY_MATERIAL_LEN,
    NOTIFY_CP_ACCESS,
    NOTIFY_MICRO_ACK,
    NOTIFY_OK,
    NSI_ZERO,
    PL_CONNECTION_INFO,
    PL_CP_ID,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_NOTIFY,
    PL_RENDEZVOUS_STATS,
    PL_SP_ID,
    PL_STATS,
    PT_DATA,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    TAG_FRAMING,
)
from reference_local import LocalAccess
from reference_parts import INVITE_REPEAT_S, RECEIVE_MAX, Connection, address, endpoint
from reference_registration import Registration

RENDEZVOUS_S = 5

ANSWER_LATER = object()


class ReferenceDevice(Registration, LocalAccess):
    """Runs from `start` to `stop`; `answer(query_id, parameters, connection)` is its application, which returns octets,
    an exception's number, or ANSWER_LATER.

    `runs` lists the queries that it ran, `failure` what ended its thread, if anything did.
    """

    receive_max = RECEIVE_MAX

    def __init__(self, device_id, key, controller, answer, allow=lambda connection: True, psks=None):
        self.device_id = device_id.encode()
        self.key = key
        self.controller = controller
        self.answer = answer
        self.allow = allow
        self.psks = psks or {}
        self.acknowledges = True
        self.event = b""
        self.later_s = 0.5
        self.attaches = 0
        self.alive = []  # sequence numbers of the requests that came
        self.runs = []
        self.names = []  # CP_IDs of the connections that came
        self.failure = None
        self.connections = {}
        self._remote = self._open()
        self._local = self._open()
        self.local_port = self._local.getsockname()[1]
        self._next_nsi = 100
        self._piggy = (0, b"")
        self._wishes = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._reset()

    # What a test does

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        self._thread.join(10)
        self._remote.close()
        self._local.close()
        if self.failure is not None:
            raise self.failure

    def wish(self, function):
        """Have the device's thread do something."""
        self._wishes.append(function)

    def reattach(self, fresh_port=True):
        """Lose the attachment, and with it perhaps the public port; open connections stay."""

        def again():
            if fresh_port:
                self._remote.close()
                self._remote = self._open()
            self._reset()

        self.wish(again)

    def poll(self):
        """What it sends after 13 s of silence."""
        self.wish(lambda: self._send_alive(0, b""))

    # The thread

    def _open(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock

    def _run(self):
        try:
            while not self._stopping.is_set():
                while self._wishes:
                    self._wishes.pop(0)()
                self._tick(time.monotonic())
                for sock in select.select([self._remote, self._local], [], [], 0.02)[0]:
                    try:
                        data, source = sock.recvfrom(self.receive_max)
                    except OSError:
                        continue
                    self._datagram(sock, data, source)
        except Exception as error:  # handed to the test by `stop`
            self.failure = error

    def _tick(self, now):
        if self.state != "ATTACHED" and now >= self._due:
            self._due = now + INVITE_REPEAT_S
            self._invite()
        for connection in list(self.connections.values()):
            if connection.searches_next and now >= connection.searches_next:
                for to in connection.endpoints:
                    self._send(to, encode(PT_U_CONNECT, [(PL_EP, endpoint(to))], sp=connection.nsi))
                more = connection.search_wanted and now + 1 < connection.searches_until
                connection.searches_next = now + 1 if more else 0.0
            while connection.later and now >= connection.later[0][0]:
                _, packet, sock, octets = connection.later.pop(0)
                self._reply(sock, connection, packet, octets)
            if connection.closed and now >= connection.closed:
                self._statistics(connection, 3)
                del self.connections[connection.nsi]

    def _send(self, to, packet, sock=None):
        try:
            (sock or self._remote).sendto(packet, to)
        except OSError:
            return  # nobody is there; the reference does not care either

    def _datagram(self, sock, data, source):
        if sock is self._local and len(data) >= 12 and u32(data, 0) < 100:
            self._discovered(data, source)
            return
        packet = Packet()
        try:
            packet.decode_from(bytearray(data))
        except MalformedError:
            return
        if packet.type == PT_DATA:
            self._data(sock, packet, source)
        elif sock is self._local:
            self._local_packet(packet, source)
        elif packet.type == PT_U_INVITE and self.state == "WAIT_BS" and source == self.controller:
            self._directed(packet)
        elif source == self.gsp:
            handlers = {PT_U_ATTACH: self._attach, PT_U_ALIVE: self._alive, PT_U_CONNECT: self._connect}
            handlers.get(packet.type, lambda packet: None)(packet)
        elif packet.type == PT_U_CONNECT and packet.first == PL_EP:
            self._rendezvous(sock, packet, source)

    # Connections

    def _connect(self, packet):
        if packet.get(PL_IPX) is None:
            return
        ipx = parse_ipx(packet.get(PL_IPX))
        if self.state != "ATTACHED" or ipx.sp in (b"", NSI_ZERO) or packet.cp in self.connections:
            return
        code = NOTIFY_OK
        if ipx.sp not in self.connections:
            material = self.context.open(packet)
            # The reference ends its process here.
            assert len(material) == KEY_MATERIAL_LEN, "key material of a wrong size"
            connection = self._described(packet, ipx, AesContext(material, False))
            code = NOTIFY_OK if self.allow(connection) else NOTIFY_CP_ACCESS
            if code == NOTIFY_OK:
                self.connections[ipx.sp] = connection
                now = time.monotonic()
                connection.endpoints = [address(one) for one in (ipx.private, ipx.global_) if u16(one, 4)]
                connection.search_wanted = not ipx.flags & IPX_NO_RENDEZVOUS
                connection.searches_next, connection.searches_until = now, now + RENDEZVOUS_S
        notify = [(PL_NOTIFY, build_notify(code, ipx.sp))]
        answer = encode(PT_U_CONNECT, notify, sp=packet.sp, seq=packet.seq, flags=FL_RESPONSE, cp=packet.cp)
        self._send(self.gsp, answer)

    def _described(self, packet, ipx, context, nsi=None):
        client = (packet.get(PL_CP_ID) or b"\x01")[1:65]
        self.names.append(client)
        is_async = bool(ipx.flags & IPX_CP_ASYNC) if ipx else True
        return Connection(nsi or ipx.sp, context, is_async, parse_fp(packet.get(PL_FP) or b""), client)

    def _rendezvous(self, sock, packet, source):
        connection = self.connections.get(packet.sp)
        if connection is None or packet.seq > 2:
            return
        if packet.seq < 2:
            # A host with both IP versions writes no address here.
            payloads = [(PL_EP, bytes(4) + endpoint(source)[4:]), (PL_EP, packet.get(PL_EP))]
            self._send(source, encode(PT_U_CONNECT, payloads, sp=packet.sp, seq=packet.seq + 1), sock)
        if packet.seq:
            connection.searches_next = 0.0

    def _statistics(self, connection, event):
        if self.gsp is None:
            return
        writer = PacketWriter(bytearray(RECEIVE_MAX))
        writer.begin(PT_STATS, connection.nsi)
        writer.add(PL_STATS, bytes((event,)))
        self._identity(writer)
        writer.add(PL_CP_ID, build_id(1, connection.client))
        writer.add(PL_SP_ID, build_id(ID_URL, self.device_id))
        if event == 1:
            writer.add(PL_IPX, build_ipx())
            writer.add(PL_RENDEZVOUS_STATS, build_rendezvous_stats(1, 0, 0, 0, 0))
        writer.add(PL_CONNECTION_INFO, build_items(((1, b"\x02"), (2, bytes(4)))))
        writer.finish()
        self._send(self.gsp, writer.bytes())

    def _data(self, sock, packet, source):
        connection = self.connections.get(packet.sp)
        if connection is None or connection.context is None:
            return
        try:
            plaintext = connection.context.open(packet)
        except AuthError:
            return
        if connection.peer is None:
            self._statistics(connection, 1)
        connection.peer = source
        connection.searches_next = 0.0
        if packet.tag == TAG_FRAMING:
            self._framing(sock, connection, packet, plaintext)
        elif not packet.tag and not connection.closed:
            self._request(sock, connection, packet, plaintext)

    def _framing(self, sock, connection, packet, plaintext):
        command = u32(plaintext, 0)
        if command == FRAMING_KEEP_ALIVE and len(plaintext) >= 8 and not connection.closed:
            self._reply(sock, connection, packet, plaintext[:8])
        elif command in (2, FRAMING_CLOSE):
            connection.closed = connection.closed or time.monotonic() + 0.3
            self._reply(sock, connection, packet, FRAMING_CLOSE.to_bytes(4, "big"))

    def _request(self, sock, connection, packet, plaintext):
        query_id = u32(plaintext, 0)
        pending = any(packet.seq == waiting.seq for _, waiting, _, _ in connection.later)
        if connection.is_async and self.acknowledges:
            self._reply(sock, connection, packet, None)
        if pending:
            return
        self.runs.append(query_id)
        result = self.answer(query_id, plaintext[4:], connection)
        if result is ANSWER_LATER:
            connection.later.append((time.monotonic() + self.later_s, packet, sock, b"\x01"))
        elif isinstance(result, bytes):
            self._reply(sock, connection, packet, result)
        elif connection.is_async:
            self._reply(sock, connection, packet, result.to_bytes(4, "big"), FL_EXCEPTION)

    def _reply(self, sock, connection, packet, plaintext, flags=0):
        """The request's header back, with an acknowledgement when there is no plaintext."""
        if sock.fileno() < 0:
            sock = self._remote
        ack = [(PL_NOTIFY, build_notify(NOTIFY_MICRO_ACK))] if plaintext is None else []
        answer = encode(
            PT_DATA, ack, sp=packet.sp, seq=packet.seq, flags=packet.flags | FL_RESPONSE | flags, cp=packet.cp,
            tag=packet.tag, context=connection.context if plaintext is not None else None, plaintext=plaintext or b"",
            iv=bytes(range(16, 32)),
        )  # fmt: skip
        self._send(connection.peer, answer, sock)


class Lamp:
    """The application of such a device: a lamp with a list of users, as application 1.9 and 2.8 describe them."""

    def __init__(self):
        self.on = 0
        self.users = {}
        self.is_bare = False  # without the common queries, as the smallest demonstration

    def allow(self, connection):
        return connection.is_local or connection.fingerprint in self.users

    def answer(self, query_id, parameters, connection):
        if query_id >= 10000 and self.is_bare:
            return AER_NO_QUERY_ID
        if query_id == 10000:
            paired = int(connection.fingerprint in self.users)
            texts = (b"lamp", b"uNabto Video", b"chip.png")
            return b"".join(len(text).to_bytes(2, "big") + text for text in texts) + bytes((1, paired, paired))
        if query_id == 11010:
            self.users[connection.fingerprint] = parameters[2:]
            return self._user(connection)
        if query_id == 11020:
            return self._user(connection)
        if query_id == 1:
            self.on = parameters[1]
            return bytes((self.on,))
        if query_id == 2:
            return bytes((self.on,)) + b"trailing octets"
        if query_id == 3:
            return ANSWER_LATER
        return AER_NO_QUERY_ID

    def _user(self, connection):
        name = self.users[connection.fingerprint]
        fingerprint = (16).to_bytes(2, "big") + connection.fingerprint
        return b"\x00" + fingerprint + len(name).to_bytes(2, "big") + name + b"\xe0\x00\x00\x00"
