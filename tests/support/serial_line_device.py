"""A device whose datagrams go over the serial line that it was started from: for boards without a network.

Runs on the board, from the raw prompt: `run(ID, KEY, CONTROLLER, STATE)`, the controller an endpoint of 6 octets. A
line `> SOCKET ENDPOINT DATA` (numbers and hex digits) leaves the device, `< SOCKET ENDPOINT DATA` comes to it, `.`
ends it.
"""

import asyncio
import os
import select
import sys
import time

from homeport_core import ticks

_PERIOD = ticks.PERIOD
_STEP_MS = 5


class Port:
    """What a stack needs (homeport_device/port.py), with a line in the place of sockets."""

    def __init__(self):
        self._due_ms = None
        self._poller = select.poll()
        self._poller.register(sys.stdin, select.POLLIN)

    def now_ms(self):
        return time.ticks_ms() % _PERIOD

    def random(self, n):
        return os.urandom(n)

    def open(self, local_port):
        return local_port

    def send(self, socket, endpoint, buf, n):
        print(">", socket, endpoint.hex(), bytes(buf[:n]).hex())

    def receive_up_to(self, size):
        pass

    def reopen(self):
        pass

    def open_extra(self):
        return 0

    def local_endpoint(self):
        return bytes(6)

    def arm(self, delay_ms):
        self._due_ms = None if delay_ms is None else ticks.add(self.now_ms(), delay_ms)

    def close(self):
        pass

    def run(self, driver, tasks):
        for function, _ in tasks:
            asyncio.run(function())
        driver.start()
        line = ""
        while line != ".\n":
            line = self._line()
            if line[:1] == "<":
                _, socket, endpoint, data = line.split()
                driver.datagram(int(socket), bytearray(bytes.fromhex(data)), bytes.fromhex(endpoint))
            if self._due_ms is not None and ticks.diff(self._due_ms, self.now_ms()) <= 0:
                self._due_ms = None
                driver.timeout()

    def _line(self):
        """The next line, empty when none has begun."""
        line = ""
        while line[-1:] != "\n" and self._poller.poll(_STEP_MS if not line else 1000):
            line += sys.stdin.read(1)
        return line


class _Module:
    pass


def run(device_id, key, controller, state):
    """Be a light until told to end."""
    port = _Module()
    port.Port = Port
    sys.modules["homeport_device.port"] = port
    from homeport_core.rpc import UINT8
    from homeport_device.device import Device
    from homeport_device.device_config import DeviceConfig

    config = DeviceConfig(device_id, key, controllers=(controller,), state_dir=state, tcp_fallback=False)
    device = Device(config)
    levels = [0, 0]

    @device.query(1, "light_write.json", (("light_id", UINT8), ("light_on", UINT8)), (("light_state", UINT8),))
    def write(request, light_id, light_on):
        levels[light_id] = light_on
        return levels[light_id]

    device.run()
