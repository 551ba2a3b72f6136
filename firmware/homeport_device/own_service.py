"""An application's own service: an async function that reads and writes its stream.

The function is cancelled when the stream is lost; when it returns, our direction is closed behind what it wrote.
"""

import asyncio

from homeport_device import log
from homeport_device.services import Session


class OwnService:
    """The service `name`, run by `handler(stream, arguments)`."""

    def __init__(self, name: str, allow: int, handler: object) -> None:
        self.allow = allow
        self._name = name
        self._handler = handler

    def open(self, now_ms: int, command: object) -> Session:
        """Start the handler."""
        session = OwnSession(command.services, command.connection, command.stream)
        coroutine = self._handler(OwnStream(session), command.arguments)
        session.task = command.services.port.start_task(coroutine, lambda _, error: self._ended(session, error))
        return session

    def _ended(self, session: Session, error: object) -> None:
        if error:
            log.line("service", self._name, "failed:", type(error).__name__, log.printable(error))
        session.call(session.finish)


class OwnSession(Session):
    """Wakes the handler when something happened on its stream."""

    def __init__(self, services: object, connection: object, stream: object) -> None:
        super().__init__(services, connection, stream)
        self.task = None
        self.news = asyncio.Event()
        self.is_over = False

    def changed(self, now_ms: int, changes: int) -> None:
        self.news.set()

    def lost(self) -> None:
        self.is_over = True
        self.task.cancel()

    def finish(self, now_ms: int) -> None:
        """The handler is done."""
        if not self.is_over:
            self.is_over = True
            self.end(now_ms)
            self.services.flush(now_ms, self)

    def call(self, function: object, *arguments: object) -> None:
        """Use the stream from the handler's task."""
        self.services.port.call(function, *arguments)


class OwnStream:
    """The stream as its handler sees it. `connection` is the client's."""

    def __init__(self, session: OwnSession) -> None:
        self.connection = session.connection
        self._session = session

    async def read(self, n: int = -1) -> bytes:
        """The next octets, at most `n` of them; b"" at the end."""
        session = self._session
        got = []
        while True:
            session.news.clear()
            session.call(self._read, n, got)
            if got[-1] or session.stream.at_eof:
                return got[-1]
            await session.news.wait()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send octets, as fast as the client takes them."""
        session = self._session
        view = memoryview(data)
        taken = [0]
        while True:
            session.news.clear()
            session.call(self._write, view, taken)
            if taken[0] == len(view):
                return
            await session.news.wait()

    def _read(self, now_ms: int, n: int, got: list) -> None:
        got.append(self._session.stream.read(n))
        self._session.services.flush(now_ms, self._session)

    def _write(self, now_ms: int, view: memoryview, taken: list) -> None:
        taken[0] += self._session.stream.write(now_ms, view[taken[0] :])
        self._session.services.flush(now_ms, self._session)
