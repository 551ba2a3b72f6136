"""A stream that the test plays: what `homeport_core.streams` would hand out, without a peer."""

from homeport_core.errors import StateError
from homeport_core.stream_states import ESTABLISHED


class PlayedStream:
    """The face of a stream. The test sets `room` and what is `unread`; what was written is in `written`."""

    def __init__(self):
        self.room = 1_000_000
        self.unread = bytearray()
        self.written = bytearray()
        self.state = ESTABLISHED
        self.peer_closed = self.closed = self.aborted = self.released = False
        self.reason = ""
        self.progress = 0

    def write(self, now_ms, data):
        if self.closed:
            raise StateError("written after close")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.written += taken
        return len(taken)

    @property
    def readable(self):
        return len(self.unread)

    @property
    def at_eof(self):
        return self.peer_closed and not self.unread

    def read(self, n=-1):
        data = bytes(self.unread[:n] if n >= 0 else self.unread)
        del self.unread[: len(data)]
        return data

    def peek(self):
        return memoryview(bytes(self.unread))

    def consume(self, n):
        del self.unread[:n]

    def close(self, now_ms):
        self.closed = True

    def abort(self, now_ms):
        self.aborted = True

    def release(self):
        assert not self.released, "given back twice"
        self.released = True
