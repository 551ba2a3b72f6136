"""The serial service: the device's serial line on a stream (specification, streams 5.6).

    uart

The answer is `+` and a newline, or `-cannot open uart` and the end. The line has one user, the last one. It cannot be
ended one way, so either end ends both.
"""

from homeport_core.compat import const

from homeport_device.pipe import Pipe
from homeport_device.services import Session

_BUFFER_LEN = const(256)


class UartService:
    """`uart`, on the serial line at `path`."""

    def __init__(self, path: str, allow: int) -> None:
        self.allow = allow
        self._path = path
        self._user = None
        self._buf = bytearray(_BUFFER_LEN)

    def open(self, now_ms: int, command: object) -> Session | None:
        """Take the line from whoever has it."""
        before = self._user
        if before is not None:
            before.hang_up(now_ms)
            command.services.flush(now_ms, before)
        user = Uart(self, command, self._buf)
        try:
            user.channel = command.services.port.open_serial(self._path, user)
        except OSError:
            command.stream.write(now_ms, b"-cannot open uart\n")
            return None
        command.stream.write(now_ms, b"+\n")
        self._user = user
        user.join(now_ms)
        return user

    def left(self, user: object) -> None:
        """This user does not have the line any more."""
        if self._user is user:
            self._user = None


class Uart(Pipe):
    """The line's user."""

    def __init__(self, service: UartService, command: object, buf: bytearray) -> None:
        super().__init__(command.services, command.connection, command.stream, buf)
        self._service = service

    def _leave(self, reset: bool) -> None:
        self._service.left(self)
        super()._leave(reset)

    def is_done(self) -> bool:
        """Either direction's end is the end of both."""
        return self._sent_all or self._received_all or self._broken
