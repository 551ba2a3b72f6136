"""What the two ends of a stream agree on in its handshake (specification, streams 2.4)."""

from homeport_core.compat import const
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_wire import OPTION_SACK, OPTION_WSRF, Outgoing, Window

_OPTIONS = const(3)


class Terms:
    """Segments in octets and windows in segments of both directions, from our point of view.

    Made from our limits they are what we offer; `agree` brings them down to what the peer can.
    """

    __slots__ = ("options", "receive_len", "receive_window", "retries", "send_len", "send_window", "timeout_ms")

    def __init__(self, limits: StreamLimits) -> None:
        self.options = _OPTIONS
        self.receive_len = self.send_len = limits.segment
        self.receive_window = limits.receive_window
        self.send_window = limits.send_window
        self.retries = limits.max_retrans
        self.timeout_ms = limits.timeout_ms

    def agree(self, window: Window) -> bool:
        """Take the lesser of ours and the peer's SYN block; False when the result is of no use."""
        self.options &= window.options
        self.receive_len = min(self.receive_len, window.transmit_len)
        self.receive_window = max(1, min(self.receive_window, window.transmit_window))
        self.send_len = min(self.send_len, window.receive_len)
        self.send_window = max(1, min(self.send_window, window.receive_window))
        self.retries = min(self.retries, window.retries)
        return self.receive_len > 0 and self.send_len > 0

    def put(self, out: Outgoing) -> None:
        """Write them as a SYN block."""
        out.put_syn_block(
            self.options,
            self.receive_len,
            self.receive_window,
            self.send_len,
            self.send_window,
            self.retries,
            self.timeout_ms,
        )

    @property
    def acknowledges_arrival(self) -> bool:
        """Whether acknowledgments tell what arrived (WSRF), not what was read."""
        return bool(self.options & OPTION_WSRF)

    @property
    def has_sack(self) -> bool:
        """Whether both ends know SACK."""
        return bool(self.options & OPTION_SACK)
