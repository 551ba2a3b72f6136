"""The echo service: `+` and a newline, then everything comes back until the end (specification, streams 5.7)."""

from homeport_device.services import Session


class EchoService:
    """`echo`."""

    def __init__(self, allow: int) -> None:
        self.allow = allow

    def open(self, now_ms: int, command: object) -> Session:
        """Answer, and go on as an echo."""
        command.stream.write(now_ms, b"+\n")
        return Echo(command.services, command.connection, command.stream)


class Echo(Session):
    """Gives back what it gets, as fast as the client takes it."""

    def changed(self, now_ms: int, changes: int) -> None:
        stream = self.stream
        view = stream.peek()
        while len(view):
            n = stream.write(now_ms, view)
            if not n:
                return
            stream.consume(n)
            view = stream.peek()
        if stream.at_eof:
            self.end(now_ms)
