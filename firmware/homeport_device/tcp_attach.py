"""Registration over TCP where UDP gets no answer (docs/extensions.md, "Attach over TCP").

The device says on one TCP connection to the controller what it would say over UDP, to controller and GSP alike. This
is the connection and its moments; what is said, and over which of the two ways registration goes on, is up to `attach`.
"""

from homeport_device.tcp_link import TcpLink


class TcpAttach:
    """`link` is the connection, or the attempt at one, and None without."""

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self.link = None

    def begin(self, now_ms: int, controller: bytes) -> None:
        """Connect to that controller, unless the connection is there or on its way."""
        port = self._stack.config.tcp_port
        endpoint = controller[:4] + port.to_bytes(2, "big") if port else controller
        if self.link is not None and self.link.endpoint == endpoint:
            if self.link.is_up:
                self.link_up(now_ms, self.link)
            return
        self.close()
        try:
            self.link = TcpLink(self._stack, endpoint, self)
        except OSError:
            self.link = None  # no socket to be had: UDP goes on, and the next attempt comes with the next invite

    def close(self) -> None:
        """Give the connection up."""
        if self.link is not None:
            self.link.close()
            self.link = None

    # The link

    def link_up(self, now_ms: int, link: TcpLink) -> None:
        """Connected: ask the controller this way."""
        self._stack.attach.invite_over_tcp(now_ms, link)

    def link_down(self, now_ms: int, link: TcpLink) -> None:
        """Not connected, or no longer."""
        self.link = None
        self._stack.attach.lost_tcp(now_ms, link)

    def link_full(self, link: TcpLink) -> None:
        """A packet is lost, as over UDP."""

    def link_takes(self, now_ms: int, packet: memoryview) -> bool:
        """Everything is for the stack."""
        return True
