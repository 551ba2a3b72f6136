"""How many octets a second the firmware's own loop carries in sealed datagrams, without streams: see
`datagram_flow_device`."""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from device_process import running
from homeport_core.packet import encode
from homeport_core.spec import PL_WINDOW, PT_DATA
from scripted_world import DATAGRAM_MAX, Basestation, Client, decode

APP = str(Path(__file__).with_name("datagram_flow_device.py"))
KEY = bytes(range(16))
SEGMENT = 1247
MEASURE_S = 2.0
_FLOOD = 32
_ASKED = 64  # segments that are asked for at once


class DatagramFlow:
    """A client of such a device."""

    def __init__(self, client: Client, pid: int) -> None:
        self.pid = pid
        self._client = client
        self._socket = client.socket
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def _packet(self, plaintext: bytes) -> bytes:
        client = self._client
        return encode(
            PT_DATA, [(PL_WINDOW, bytes(16))], sp=client.nsi, cp=b"\x99\x99\x99\x99", tag=0x1000,
            context=client.keys, plaintext=plaintext, iv=os.urandom(16),
        )  # fmt: skip

    def _counted(self) -> int:
        """Octets that the device has counted; asked again while a flood of ours is in the way."""
        self._socket.settimeout(0.5)
        for _ in range(20):
            self._socket.sendto(self._packet(bytes(4)), self._client.device)
            with suppress(TimeoutError):
                while True:
                    packet = decode(self._socket.recv(DATAGRAM_MAX))
                    plaintext = self._client.keys.open(packet)
                    if len(plaintext) == 8:
                        return int.from_bytes(plaintext, "big")
        raise TimeoutError("the device does not say what it counted")

    def receives(self, clock: Callable[[], float]) -> float:
        """Octets per second of `clock` that the device receives, verifies and decrypts."""
        before = self._counted()
        full = self._packet(bytes(SEGMENT))
        start, clock_from = time.perf_counter(), clock()
        while time.perf_counter() - start < MEASURE_S:
            for _ in range(_FLOOD):
                self._socket.sendto(full, self._client.device)
            time.sleep(0.0005)
        counted = self._counted() - before
        return counted / (clock() - clock_from)

    def sends(self, clock: Callable[[], float]) -> float:
        """Octets per second of `clock` that the device seals and sends."""
        ask = self._packet(_ASKED.to_bytes(4, "big"))
        start, clock_from = time.perf_counter(), clock()
        for _ in range(2):
            self._socket.sendto(ask, self._client.device)
        count = 0
        while time.perf_counter() - start < MEASURE_S:
            self._socket.recv(DATAGRAM_MAX)
            count += 1
            if count % _ASKED == 0:
                self._socket.sendto(ask, self._client.device)
        return count * SEGMENT / (clock() - clock_from)


@contextmanager
def datagram_flow(runtime: str) -> Iterator[DatagramFlow]:
    """Such a device, with a client."""
    basestation, client = Basestation("dev", KEY), Client()
    controller = f"127.0.0.1:{basestation.address[1]}"
    try:
        with (
            tempfile.TemporaryDirectory() as state,
            running(runtime, APP, Path(state), "--id", "dev", "--key", KEY.hex(), "--controller", controller) as device,
        ):
            basestation.attach()
            basestation.introduce(client, os.urandom(4), bytes(range(16)))
            yield DatagramFlow(client, device.process.pid)
    finally:
        basestation.close()
        client.close()
