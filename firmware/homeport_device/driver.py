"""Drives a stack from a port: datagrams and time in, one timer kept, and nothing that escapes (design, section 3).

This is the one place that catches everything: an exception of the stack costs the datagram that caused it and one
line in the log, never the device.
"""

from homeport_core import ticks
from homeport_core.compat import const

from homeport_device import log

# After a failure the timer waits at least this long, so that a broken step cannot run in a circle.
_AFTER_FAILURE_MS = const(1000)


class Driver:
    """`settled(now_ms)` is called after every step, when all answers to it are out."""

    def __init__(self, stack: object, port: object, settled: object) -> None:
        self._stack = stack
        self._port = port
        self._settled = settled
        self._armed_ms = None
        self.failures = 0

    def start(self) -> None:
        """Begin."""
        self._step(self._stack.start)

    def datagram(self, socket: int, data: bytes | bytearray, endpoint: bytes) -> None:
        """A datagram arrived."""
        self._step(self._stack.datagram, socket, data, endpoint)

    def part(self, socket: int, data: bytes | bytearray, endpoint: bytes) -> None:
        """One of several datagrams that arrived together; `drained` follows the last of them."""
        stack = self._stack
        try:
            stack.holds_streams = True
            stack.datagram(self._port.now_ms(), socket, data, endpoint)
        except Exception as error:
            self._failed(error)

    def drained(self) -> None:
        """That was the last."""
        self._stack.holds_streams = False
        self._step(self._stack.drained)

    def resolved(self, addresses: list | None) -> None:
        """A look-up ended: addresses of 4 octets, or None."""
        self._step(self._stack.resolved, addresses)

    def timeout(self) -> None:
        """The timer that `port.arm` set is due."""
        self._armed_ms = None
        self._step(self._stack.timeout)

    def call(self, function: object, *arguments: object) -> None:
        """Something the stack's users wait for happened: `function(now_ms, *arguments)`."""
        self._step(function, *arguments)

    def complete(self, request: object, code: int, payload: bytes) -> None:
        """An accepted request has its answer."""
        self._step(request.complete, code, payload)

    def _step(self, function: object, *arguments: object) -> None:
        now_ms = self._port.now_ms()
        failed = False
        try:
            function(now_ms, *arguments)
            self._settled(now_ms)
        except Exception as error:
            failed = True
            self._failed(error)
        self._arm(now_ms, failed)

    def _failed(self, error: object) -> None:
        self.failures += 1
        log.event(log.FAULT, "failed:", type(error).__name__, log.printable(error))

    def _arm(self, now_ms: int, failed: bool) -> None:
        """Set the port's timer if something is due sooner than it.

        One that is due later waits until the timer finds nothing to do: streams put their timers off with every packet.
        """
        due_ms = self._stack.deadline_ms
        if failed and due_ms is not None and ticks.diff(due_ms, now_ms) < _AFTER_FAILURE_MS:
            due_ms = ticks.add(now_ms, _AFTER_FAILURE_MS)
        if due_ms is None or self._armed_ms is None or ticks.diff(due_ms, self._armed_ms) < 0:
            if due_ms == self._armed_ms:
                return
            self._armed_ms = due_ms
            self._port.arm(None if due_ms is None else max(0, ticks.diff(due_ms, now_ms)))
