"""What clients use streams for (specification, streams 5).

A client's first octets on a stream are a line that names a service; the service has all that follows. The line's first
word has to be the service's name, whole, and octets behind the line are the service's, wherever they came. Who may use
no service at all is refused as soon as the stream is open: our direction is closed without an octet.

A service has `allow`, who may use it (see `queries`), and `open(now_ms, session)`, which returns the `Session` that
goes on with the stream of `session`, whose `arguments` are the rest of the line; None to refuse.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import ConfigError
from homeport_core.stream import ABORTED, OPENED

from homeport_device.streams import StreamTags

_LINE_MAX = const(511)
# A client sends its line at once, so one that does not only holds a slot.
_LINE_MS = const(30000)


class Session:
    """The user of one stream. `deadline_ms` says when `timeout` is due, None for never."""

    deadline_ms = None

    def __init__(self, services: object, connection: object, stream: object) -> None:
        self.services = services
        self.connection = connection
        self.stream = stream

    def changed(self, now_ms: int, changes: int) -> None:
        """Something happened on the stream, or the session has just begun."""

    def timeout(self, now_ms: int) -> None:
        """`deadline_ms` is reached."""

    def is_spare(self, now_ms: int) -> bool:
        """Whether `timeout` may be called early, for want of slots."""
        return False

    def lost(self) -> None:
        """The stream was aborted: free what the session holds."""

    def end(self, now_ms: int) -> None:
        """Close our direction behind what was written, and be done: what still arrives is dropped."""
        self.stream.close(now_ms)
        self.services.remove(self)


class CommandLine(Session):
    """Reads the line, and hands the stream to the service that it names."""

    def __init__(self, services: object, connection: object, stream: object, now_ms: int) -> None:
        super().__init__(services, connection, stream)
        self.deadline_ms = ticks.add(now_ms, _LINE_MS)
        self.arguments = b""
        self._line = b""

    def changed(self, now_ms: int, changes: int) -> None:
        stream = self.stream
        view = stream.peek()
        while len(view):
            part = bytes(view[: _LINE_MAX + 1 - len(self._line)])
            end = part.find(b"\n")
            if end >= 0:
                stream.consume(end + 1)
                self._open(now_ms, self._line + part[:end])
                return
            stream.consume(len(part))
            self._line += part
            if len(self._line) > _LINE_MAX:
                self.end(now_ms)
                return
            view = stream.peek()
        if stream.at_eof:
            self.end(now_ms)

    def timeout(self, now_ms: int) -> None:
        self.end(now_ms)

    def _open(self, now_ms: int, line: bytes) -> None:
        word, _, self.arguments = line.rstrip(b"\r").partition(b" ")
        service = self.services.find(word)
        following = None
        if service is not None and self.services.allows(self.connection, service):
            following = service.open(now_ms, self)
        if following is None:
            self.end(now_ms)
        else:
            self.services.replace(self, following)
            following.changed(now_ms, 0)


class Services:
    """All services of a device, and what runs on its streams. `port` is for services that need the world."""

    def __init__(self, app: object) -> None:
        """`app.service_allowed(connection, allow) -> bool` decides who may use a service."""
        self.port = None
        self._app = app
        self._by_word = {}
        self._sessions = {}
        self._streams = None

    def add(self, word: bytes, service: object) -> None:
        """Offer a service under this word. Raises ConfigError when it is taken."""
        if word in self._by_word:
            raise ConfigError("there is a service of this name already: " + word.decode())
        self._by_word[word] = service

    @property
    def are_any(self) -> bool:
        """Whether a service was declared."""
        return bool(self._by_word)

    def start(self, stack: object) -> None:
        """Take the streams of this device. Raises ConfigError when its settings do not fit."""
        self.port = stack.port
        self._streams = StreamTags(stack, self)

    def find(self, word: bytes) -> object:
        """The service of this name, or None."""
        return self._by_word.get(word)

    def allows(self, connection: object, service: object) -> bool:
        """Whether the connection's user may use the service."""
        return self._app.service_allowed(connection, service.allow)

    def changed(self, now_ms: int, connection: object, stream: object, changes: int) -> None:
        """Something happened on a stream."""
        session = self._sessions.get(stream)
        if session is None:
            session = self._sessions[stream] = CommandLine(self, connection, stream, now_ms)
            if changes & OPENED and not any(self.allows(connection, each) for each in self._by_word.values()):
                session.end(now_ms)
                return
        if changes & ABORTED:
            session.lost()
            self.remove(session)
        else:
            session.changed(now_ms, changes)

    def replace(self, session: Session, following: Session) -> None:
        """`following` goes on with the stream."""
        self._sessions[session.stream] = following

    def remove(self, session: Session) -> None:
        """The session is done with its stream."""
        if self._sessions.pop(session.stream, None) is not None:
            session.stream.release()

    def make_room(self, now_ms: int, connection: object) -> None:
        """This connection wants a slot and finds none: end what only waits, so that the client's next try finds one."""
        for session in list(self._sessions.values()):
            if session.connection is connection and session.is_spare(now_ms):
                session.timeout(now_ms)
                self.flush(now_ms, session)

    def flush(self, now_ms: int, session: Session) -> None:
        """Send what the session did from outside of its own methods."""
        self._streams.flush(now_ms, session.connection)

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`."""
        deadline = None
        for session in self._sessions.values():
            due = session.deadline_ms
            if due is not None and (deadline is None or ticks.diff(due, deadline) < 0):
                deadline = due
        return deadline

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        for session in list(self._sessions.values()):
            if session.deadline_ms is not None and ticks.diff(now_ms, session.deadline_ms) >= 0:
                session.deadline_ms = None
                session.timeout(now_ms)
                self.flush(now_ms, session)
