"""A device on MicroPython in a world without real time or network: `virtual_surroundings` in its process, this at the
other ends of its stdin and stderr. Whoever waits here lets the device's time pass; nothing else does, so each run is
like the last.

`heap_len` is the device's heap, 0 for plenty, beside the octets that its surroundings and a ROM image need:
`beside_len`, which is `base_len` of an earlier world.
"""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
BATCH_LEN = 8192
DEVICE_ADDRESS = "10.0.0.2"
HEADER_LEN = 3
KINDS = (b"B", b"I", b"M", b"S")
LATENCY_MS = 2
PLENTY_LEN = 1 << 24
START = (
    "import gc, sys; gc.collect(); sys.path[:] = {search}; import virtual_surroundings as v; {mount}"
    "v.install({board}, {collects}); import homeport_device.device; import {app}"
)
MOUNT = "import vfs; vfs.mount(vfs.VfsRom(open({image!r}, 'rb').read()), '/rom'); "


def mounted(image: Path | None) -> str:
    """The beginning of a program that finds its modules in an image."""
    return MOUNT.format(image=str(image)) if image else ""


class DeviceEndedError(Exception):
    """The device's process is over: what it printed."""


class Socket:
    """As much of a UDP socket as `scripted_world` needs."""

    def __init__(self, world: "World", address: tuple[str, int]) -> None:
        self.world = world
        self.address = address
        self.arrived: list[tuple[bytes, tuple[str, int]]] = []
        self.peer = ("", 0)
        self.timeout_ms = 10_000

    def settimeout(self, timeout_s: float) -> None:
        self.timeout_ms = int(timeout_s * 1000)

    def gettimeout(self) -> float:
        return self.timeout_ms / 1000

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Arriving datagrams wait without limit."""

    def getsockname(self) -> tuple[str, int]:
        return self.address

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        self.world.to_device.append((address[1], self.address, bytes(data)))

    def connect(self, address: tuple[str, int]) -> None:
        self.peer = address

    def send(self, data: bytes) -> None:
        self.sendto(data, self.peer)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """Lets time pass until something arrives. Raises TimeoutError."""
        end_ms = self.world.now_ms + self.timeout_ms
        while not self.arrived:
            if self.world.now_ms >= end_ms:
                raise TimeoutError
            self.world.turn(end_ms)
        return self.arrived.pop(0)

    def recv(self, size: int) -> bytes:
        return self.recvfrom(size)[0]

    def close(self) -> None:
        self.world.sockets.pop(self.address, None)


class World:
    """One device, and sockets of whoever else there is."""

    def __init__(
        self,
        tree: Path,
        app: str,
        *options: str,
        heap_len: int = 0,
        beside_len: int = 0,
        image: Path | None = None,
        board_addresses: bool = False,
        command: tuple[str, ...] = (str(MICROPYTHON),),
        collects: bool = True,
    ) -> None:
        self.now_ms = 0
        self.sockets: dict[tuple[str, int], Socket] = {}
        self.to_device: list[tuple[int, tuple[str, int], bytes]] = []
        self.lost = False  # whether the network is down: nothing gets through
        self.base_len = 0
        self.memory: list[tuple[int, int]] = []
        self._idle_ms: int | None = None
        search = [str(SUPPORT), "/rom" if image else str(tree), ".frozen"]
        program = START.format(search=search, mount=mounted(image), board=board_addresses, collects=collects, app=app)
        heap = f"heapsize={heap_len + beside_len if heap_len else PLENTY_LEN}"
        self._printed = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*command, "-X", heap, "-c", program, *options],
            stdin=subprocess.PIPE,
            stdout=self._printed,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin and self.process.stderr
        self._to = self.process.stdin
        self._from = self.process.stderr
        self._await_idle()

    # What tests do

    def socket(self, host: str = "203.0.113.7") -> Socket:
        """Another one of that host."""
        address = (host, 40_000 + len(self.sockets))
        while address in self.sockets:
            address = (host, address[1] + 1)
        self.sockets[address] = Socket(self, address)
        return self.sockets[address]

    def run(self, duration_ms: int) -> None:
        """Let so much time pass."""
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self.turn(end_ms)

    def held_len(self) -> int:
        """Octets that the device holds after a collection, its surroundings left out."""
        count = len(self.memory)
        self._await_idle()
        self._answer([b"M\0\0"], self.now_ms)
        self._await_idle()
        assert len(self.memory) > count
        return self.memory[-1][0]

    def turn(self, until_ms: int) -> None:
        """The device works through what arrived, and time passes to what happens next, `until_ms` at the latest."""
        self._await_idle()
        assert self._idle_ms is not None
        if self.to_device:
            self._answer(self._next_batch(), self.now_ms + LATENCY_MS)
        else:
            until_ms = max(until_ms, self.now_ms)
            self._answer([], min(self.now_ms + self._idle_ms, until_ms), until_ms)
        self._await_idle()

    def end(self) -> str:
        """Stop the device; returns what it printed."""
        if self._from.closed:
            return ""
        self._to.close()
        rest = self._from.read().decode(errors="replace")
        self.process.wait(timeout=30)
        self._from.close()
        self._printed.seek(0)
        with self._printed:
            return self._printed.read() + rest

    # The pipes

    def _next_batch(self) -> list[bytes]:
        """As many waiting datagrams as fit."""
        records: list[bytes] = []
        size = 0
        while self.to_device:
            port, source, data = self.to_device[0]
            body = port.to_bytes(2, "big") + socket.inet_aton(source[0]) + source[1].to_bytes(2, "big") + data
            size += HEADER_LEN + len(body)
            if size > BATCH_LEN // 2 and records:
                break
            self.to_device.pop(0)
            if not self.lost:
                records.append(b"D" + len(body).to_bytes(2, "big") + body)
        return records

    def _answer(self, records: list[bytes], now_ms: int, granted_ms: int = 0) -> None:
        """What arrives, what time it is, and how far time may go on without asking again, when nothing is sent."""
        self.now_ms = now_ms
        batch = b"".join([b"T\0\10" + now_ms.to_bytes(4, "big") + granted_ms.to_bytes(4, "big"), *records])
        self._idle_ms = None
        self._to.write(len(batch).to_bytes(4, "big") + batch)
        self._to.flush()

    def _await_idle(self) -> None:
        """Take what the device sends, until it waits."""
        while self._idle_ms is None:
            header = self._from.read(HEADER_LEN)
            if header[:1] not in KINDS:  # over, or a traceback
                raise DeviceEndedError(self.end(), header)
            body = self._from.read(header[1] << 8 | header[2])
            kind = header[:1]
            if kind == b"I":
                self.now_ms = int.from_bytes(body[:4], "big")
                self._idle_ms = int.from_bytes(body[4:], "big")
            elif kind == b"M":
                self.memory.append((int.from_bytes(body[:4], "big"), int.from_bytes(body[4:], "big")))
            elif kind == b"B":
                self.base_len = int.from_bytes(body, "big")
            elif kind == b"S" and not self.lost:
                target = (socket.inet_ntoa(body[2:6]), int.from_bytes(body[6:8], "big"))
                if target in self.sockets:
                    source = (DEVICE_ADDRESS, int.from_bytes(body[:2], "big"))
                    self.sockets[target].arrived.append((body[8:], source))
