"""Measures how many octets a second a TCP path carries: a source, a sink, and whatever is between them."""

import socket
import threading
import time
from collections.abc import Callable

WARM_S, MEASURE_S = 0.7, 2.0
_BLOCK = bytes(1 << 16)


def _send_on(sock: socket.socket) -> None:
    try:
        while True:
            sock.sendall(_BLOCK)
    except OSError:
        return  # the measurement is over


def _count(sock: socket.socket, clock: Callable[[], float]) -> float:
    """Octets per second of `clock`, after some time to get up to speed."""
    buf = bytearray(1 << 20)
    sock.settimeout(20)
    start = time.perf_counter()
    counted_from, clock_from, total = 0.0, 0.0, 0
    while True:
        n = sock.recv_into(buf)
        now = time.perf_counter()
        if not n:
            raise RuntimeError("the path ended early")
        if counted_from:
            total += n
            if now - counted_from >= MEASURE_S:
                return total / (clock() - clock_from)
        elif now - start >= WARM_S:
            counted_from, clock_from = now, clock()


class Target:
    """A listening socket that paths lead to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port = int(self.listener.getsockname()[1])

    def measure(self, port: int, upwards: bool, clock: Callable[[], float] = time.perf_counter) -> float:
        """Octets per second of `clock` through what listens at `port` and leads here; `upwards` is towards here."""
        near = socket.create_connection(("127.0.0.1", port))
        far, _ = self.listener.accept()
        source, sink = (near, far) if upwards else (far, near)
        sender = threading.Thread(target=_send_on, args=(source,), daemon=True)
        sender.start()
        try:
            return _count(sink, clock)
        finally:
            for sock in (source, sink):
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            sender.join(5)
