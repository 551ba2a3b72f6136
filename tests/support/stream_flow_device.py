"""A device for measuring: `source` sends without end, `sink` takes all there is. Runs on both interpreters."""

from homeport_device.device import ANYONE, Device, load_config
from homeport_device.services import Session

BLOCK = bytes(4096)


class Service:
    """Hands its stream to a session of one kind."""

    def __init__(self, kind):
        self.allow = ANYONE
        self.kind = kind

    def open(self, now_ms, command):
        """Go on as this kind."""
        return self.kind(command.services, command.connection, command.stream)


class Source(Session):
    """Sends."""

    def changed(self, now_ms, changes):
        while self.stream.write(now_ms, BLOCK):
            pass


class Sink(Session):
    """Takes."""

    def changed(self, now_ms, changes):
        stream = self.stream
        while n := len(stream.peek()):
            stream.consume(n)
        if stream.at_eof:
            self.end(now_ms)


device = Device(load_config({"streams": 4}), name="Flow", type="Homeport flow", admit=lambda connection: True)
device.offer(b"source", Service(Source))
device.offer(b"sink", Service(Sink))
device.run()
