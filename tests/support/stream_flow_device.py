"""A device for measuring: `source` sends without end, `sink` takes all there is. Runs on both interpreters."""

from homeport_core.compat import MICROPYTHON
from homeport_device.services import Session
from homeport_device.stream_device import ANYONE, StreamDevice, load_config

BLOCK = bytes(4096 if MICROPYTHON else 65536)  # what a program of that size would read from its source at once


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


SETTINGS = {"streams": 2, "stream_window": 32}
device = StreamDevice(load_config(SETTINGS), name="Flow", type="Homeport flow", admit=lambda connection: True)
device.services.add(b"source", Service(Source))
device.services.add(b"sink", Service(Sink))
device.run()
