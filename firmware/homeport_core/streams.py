"""All streams of one connection: tags, slots, answers to strangers, and whose turn it is (specification, streams 2)."""

from homeport_core.packet import Packet
from homeport_core.stream import Stream
from homeport_core.stream_limits import StreamLimits

__all__ = ["Stream", "StreamLimits", "Streams"]


class Streams:
    """The streams of one connection, as a machine without I/O.

    After every call that takes `now_ms`, and after a stream was read, written or released, the owner calls
    `poll` until it returns False, sealing and sending each packet, then `next_changed` until None, and arms its timer
    for `deadline_ms`. Times are wrapping ticks.

    `tag` is the tag of a polled packet, `window`, `sack` and `data` the data of its WINDOW and SACK payloads (no SACK
    when empty) and its plaintext; all are valid until the next call. `reliable` says that nothing is lost on the way
    to the peer (TCP end to end): then data is never sent twice (streams 3.10).
    """

    def __init__(self, rng: object, limits: StreamLimits, initiator: bool, admit: object = None) -> None:
        """`rng(n)` gives random octets. `admit()` says whether a stream the peer opens may have a slot (None: always)."""
        raise NotImplementedError

    def open(self, now_ms: int) -> Stream:
        """Open a stream (initiator only). Raises FullError when all slots are taken, StateError as responder."""
        raise NotImplementedError

    def take(self, now_ms: int, packet: Packet, off: int, n: int) -> int:
        """A verified DATA packet with a stream tag and its plaintext `packet.buf[off:off + n]`, not kept.

        Returns NEWS, OLD or IGNORED of `stream_wire`. Never raises for what is in the packet.
        """
        raise NotImplementedError

    def poll(self, now_ms: int) -> bool:
        """Prepare the next packet to send in `tag`, `window`, `sack` and `data`; False when there is none now."""
        raise NotImplementedError

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`, as ticks; None for never."""
        raise NotImplementedError

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        raise NotImplementedError

    def next_changed(self) -> Stream | None:
        """A stream with changes that its user has not taken, or None. Each is handed out once per change."""
        raise NotImplementedError

    def path_changed(self, now_ms: int) -> None:
        """Packets take another way from now on: round trips and congestion are learned anew, and what is on the way is
        sent again."""
        raise NotImplementedError

    def reset_all(self, now_ms: int) -> None:
        """Abort all streams; each has an RST to send."""
        raise NotImplementedError

    def fail_all(self) -> None:
        """The connection is gone: abort all streams, nothing is sent."""
        raise NotImplementedError
