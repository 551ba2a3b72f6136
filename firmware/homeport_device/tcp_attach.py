"""Registration over TCP where UDP gets no answer (docs/extensions.md, "Attach over TCP").

The device says on one TCP connection to the controller what it would say over UDP, to controller and GSP alike. This
is that connection, and what registration does differently because of it; the rest is `attach`.
"""

from homeport_core import ticks
from homeport_core.compat import const

from homeport_device.attach import ATTACHED, WAIT_BS, WAIT_GSP
from homeport_device.identity import write_invite
from homeport_device.output import REMOTE
from homeport_device.tcp_link import TcpLink

# Attached over TCP, how long until UDP is tried again, doubled each time that TCP is needed, at most so often.
_UDP_AGAIN_MS = const(300000)
_DOUBLINGS_MAX = const(4)


class TcpAttach:
    """`times` is how often in a row TCP was needed."""

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self._link = None  # the connection, or the attempt at one
        self._udp_again_ms = 0
        self.times = 0

    def begin(self, now_ms: int, controller: bytes) -> None:
        """Connect to that controller, or ask it when connected."""
        port = self._stack.config.tcp_port
        endpoint = controller[:4] + port.to_bytes(2, "big") if port else controller
        if self._link is not None and self._link.endpoint == endpoint:
            if self._link.is_up:
                self.link_up(now_ms, self._link)
            return
        self.close()
        try:
            self._link = TcpLink(self._stack, endpoint, self)
        except OSError:
            self._link = None  # no socket to be had: UDP goes on, and the next attempt comes with the next invite

    def awaits(self, socket: object) -> bytes | None:
        """From where an answer of the controller would help: over TCP while no other way has led anywhere, over UDP
        while attached over TCP."""
        attach = self._stack.attach
        if socket == REMOTE:
            return attach.controller if attach.state == ATTACHED and attach.socket != REMOTE else None
        gsp_is_silent = attach.state == WAIT_GSP and attach.socket == REMOTE and attach.invites > 1
        return socket.endpoint if attach.state == WAIT_BS or gsp_is_silent else None

    def attached(self, now_ms: int) -> None:
        """A connection that is not needed is closed; for one that is, UDP is tried again some time."""
        if self._stack.attach.socket == REMOTE:
            self.times = 0
            self.close()
        else:
            self._wait(now_ms)
            self.times += 1

    def alive(self, now_ms: int) -> None:
        """Attached over TCP for some time: see whether the controller answers over UDP again."""
        if ticks.diff(now_ms, self._udp_again_ms) >= 0:
            self._wait(now_ms)
            self._invite(REMOTE, self._stack.attach.controller)

    def close(self) -> None:
        """Give the connection up."""
        if self._link is not None:
            self._link.close()
            self._link = None

    # The link

    def link_up(self, now_ms: int, link: TcpLink) -> None:
        """Connected: ask the controller this way, if that helps."""
        if self.awaits(link) is not None:
            self._invite(link, link.endpoint)

    def link_down(self, now_ms: int, link: TcpLink) -> None:
        """Not connected, or no longer."""
        self._link = None
        if self._stack.attach.socket is link:
            self._stack.attach.lose_way(now_ms)

    def link_full(self, link: TcpLink) -> None:
        """A packet is lost, as over UDP."""

    def link_takes(self, now_ms: int, packet: memoryview) -> bool:
        """Everything is for the stack."""
        return True

    # Steps

    def _wait(self, now_ms: int) -> None:
        self._udp_again_ms = ticks.add(now_ms, _UDP_AGAIN_MS << min(self.times, _DOUBLINGS_MAX))

    def _invite(self, socket: object, endpoint: bytes) -> None:
        write_invite(self._stack.output.writer, self._stack.config)
        self._stack.output.send(socket, endpoint)
