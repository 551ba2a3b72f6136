"""Finding a path to the client (specification, core 5.4, 5.5).

Both ends send to each other's possible endpoints. A packet of sequence 0 asks, 1 answers and asks back, 2 answers;
whoever gets a 1 or a 2 knows that the path works in both directions. Nothing here is authenticated: it only opens
holes in NATs. The client chooses the path by its DATA packets; the first that comes directly ends the rendezvous.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.payloads import u32
from homeport_core.rate import RateLimit
from homeport_core.spec import ENDPOINT_LEN, NAT_SYMMETRIC, PL_EP, PL_NONCE, PT_U_CONNECT

from homeport_device.connection import CONNECTING, timeout_for
from homeport_device.drops import MALFORMED, RATE, TAKEN, UNKNOWN
from homeport_device.output import REMOTE

_PERIOD_MS = const(1000)
_DURATION_MS = const(5000)
# A client may have us search again, but not so often that it could use us to pester somebody.
_AGAIN_MS = const(2000)
# How long after a search its sockets wait for the client's decision.
_LINGER_MS = const(5000)
# A client behind a symmetric NAT may be at any port of its address.
_PORTS_PERIOD_MS = const(50)
_PORTS_AT_ONCE = const(10)
# A symmetric client opens up to 50 sockets a second; an attacker who learnt the NSI gets no more than twice that.
_ANSWERS_PER_S = const(100)

_ASK = const(0)
_ANSWER_AND_ASK = const(1)
_ANSWER = const(2)


class Rendezvous:
    """One connection's search, if `wanted`. `deadline_ms` is None when nothing is left to do."""

    def __init__(
        self, output: object, now_ms: int, nsi: bytes, private: bytes, global_: bytes, client_nat: int
    ) -> None:
        self._output = output
        self._nsi = nsi
        self._answers = RateLimit(_ANSWERS_PER_S)
        self._used = REMOTE  # the socket that direct data came to last
        self.ports = None  # many ports: `search.Ports`
        self.crowd = None  # many sockets: `search.Crowd`
        self.wanted = True
        self._begin(now_ms, private, global_, client_nat)

    def again(self, now_ms: int, private: bytes, global_: bytes, client_nat: int) -> bool:
        """Search once more, as the client asked; False when it has asked a moment ago."""
        if ticks.diff(now_ms, self._started_ms) < _AGAIN_MS:
            return False
        self.wanted = True
        self.ports = None
        if self.crowd is not None:
            self.crowd.shrink(self._used)
        self._begin(now_ms, private, global_, client_nat)
        return True

    def decline(self) -> None:
        """The client wants no search; it is only answered, should it ask after all."""
        self.wanted = False
        self.end()

    def try_ports(self) -> None:
        """Try many ports as well, when the client's NAT is symmetric."""
        if self.client_nat == NAT_SYMMETRIC:
            from homeport_device.search import Ports

            self.ports = Ports(self._global[4] << 8 | self._global[5])

    @property
    def deadline_ms(self) -> int | None:
        if not self._searching:
            return self._gone_ms
        due_ms = self._ask_ms
        if self.ports is not None and ticks.diff(self._ports_ms, due_ms) < 0:
            due_ms = self._ports_ms
        if self.crowd is not None and self.crowd.next_ms is not None and ticks.diff(self.crowd.next_ms, due_ms) < 0:
            due_ms = self.crowd.next_ms
        return due_ms

    def hurry(self, now_ms: int) -> None:
        """The client is there: it may have missed the first question, which came before it knew of us."""
        self._ask_ms = now_ms

    def end(self) -> None:
        """Send no more; questions are still answered."""
        self._searching = False
        if self.crowd is not None:
            self.crowd.next_ms = None
            self._gone_ms = ticks.add(self._ends_ms, _LINGER_MS) if len(self.crowd) else None

    def settle(self, socket: int) -> None:
        """The client's data comes directly, to `socket`."""
        self._searching = False
        self._used = socket
        if self.crowd is not None:
            self.crowd.shrink(socket)
            self._gone_ms = None

    def close(self) -> None:
        """The connection is gone."""
        self.settle(REMOTE)

    def timeout(self, now_ms: int) -> None:
        """Ask at all endpoints that are due."""
        if not self._searching:
            if self._gone_ms is not None and ticks.diff(now_ms, self._gone_ms) >= 0:
                self.settle(self._used)
            return
        if ticks.diff(now_ms, self._ends_ms) >= 0:
            self.end()
            return
        if ticks.diff(now_ms, self._ask_ms) >= 0:
            self._send(_ASK, REMOTE, self._private, None)
            self._send(_ASK, REMOTE, self._global, None)
            self._ask_ms = ticks.add(now_ms, _PERIOD_MS)
        if self.ports is not None and ticks.diff(now_ms, self._ports_ms) >= 0:
            for _ in range(_PORTS_AT_ONCE):
                port = self.ports.next()
                self._send(_ASK, REMOTE, self._global[:4] + port.to_bytes(2, "big"), None)
            self._ports_ms = ticks.add(now_ms, _PORTS_PERIOD_MS)
        crowd = self.crowd
        if crowd is not None and crowd.next_ms is not None and ticks.diff(now_ms, crowd.next_ms) >= 0:
            socket = crowd.grow(now_ms)
            if socket:
                self._send(_ASK, socket, self._global, None)

    def take(self, now_ms: int, connection: object, packet: object, socket: int, source: bytes) -> int:
        """A rendezvous packet of this connection. The first conclusion sets the keep-alive time (core 5.5)."""
        endpoint = packet.get(PL_EP)
        if len(endpoint) != ENDPOINT_LEN:
            return MALFORMED
        if packet.seq > _ANSWER:
            return UNKNOWN
        if packet.seq != _ANSWER:
            if not self._answers.allows(now_ms):
                return RATE
            self._send(packet.seq + 1, socket, source, endpoint)
        if packet.seq != _ASK and self._searching:
            self.end()
            if connection.state == CONNECTING:
                off = packet.find(PL_NONCE)
                interval_ms = u32(packet.buf, off) if off >= 0 and packet.found_len == 4 else 0
                connection.timeout_ms = timeout_for(interval_ms)
                connection.restart_timer(now_ms)
        return TAKEN

    def _begin(self, now_ms: int, private: bytes, global_: bytes, client_nat: int) -> None:
        self._private = private
        self._global = global_
        self.client_nat = client_nat
        self._started_ms = self._ask_ms = self._ports_ms = now_ms
        self._ends_ms = ticks.add(now_ms, _DURATION_MS)
        self._gone_ms = None
        self._searching = True

    def _send(self, seq: int, socket: int, endpoint: bytes, own: bytes | None) -> None:
        """EP is where this goes; a second EP tells the peer how it saw us, echoed from its packet."""
        writer = self._output.writer
        writer.begin(PT_U_CONNECT, self._nsi, seq)
        writer.add(PL_EP, endpoint)
        if own is not None:
            writer.add(PL_EP, own)
        self._output.send(socket, endpoint)
