"""What one end of a stream offers, and how much memory it may take (specification, streams 2.2, 7.3)."""

from homeport_core.compat import const
from homeport_core.errors import ConfigError

_U16_MAX = const(0xFFFF)
# A datagram ends at 65,507 octets; what stands around the plaintext of a full segment stays below 507.
_SEGMENT_MAX = const(65000)
_STREAMS_MAX = const(4096)


class StreamLimits:
    """Limits of all streams of a connection. Raises ConfigError for what the wire or the machine cannot do.

    `segment` is the largest segment in octets, `receive_window` and `send_window` count segments, `streams` the open
    streams. `fixed` reserves the memory of a stream, segment * (receive_window + send_window + 1), when it is made,
    so that nothing grows while it runs: for boards. `burst` is how many segments leave at once when they are paced.
    `max_retrans` and `timeout_ms` are those of the specification, 2.2.
    """

    def __init__(
        self,
        segment: int = 1247,
        receive_window: int = 256,
        send_window: int = 256,
        streams: int = 4,
        max_retrans: int = 12,
        timeout_ms: int = 1000,
        burst: int = 4,
        fixed: bool = False,
    ) -> None:
        _check("segment", segment, 16, _SEGMENT_MAX)
        _check("receive_window", receive_window, 1, _U16_MAX)
        _check("send_window", send_window, 1, _U16_MAX)
        _check("streams", streams, 1, _STREAMS_MAX)
        _check("max_retrans", max_retrans, 1, 255)
        _check("timeout_ms", timeout_ms, 100, 16000)
        _check("burst", burst, 1, 64)
        self.segment = segment
        self.receive_window = receive_window
        self.send_window = send_window
        self.streams = streams
        self.max_retrans = max_retrans
        self.timeout_ms = timeout_ms
        self.burst = burst
        self.fixed = fixed


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError("stream limit %s is %d, not %d to %d" % (name, value, least, most), value)
