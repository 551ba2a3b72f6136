"""An hour of much use for a device without time or network of its own (`small_devices`)."""

import contextlib
import json
import random

from homeport_core.stream_states import CLOSED, TIME_WAIT
from scripted_world import LanClient
from small_devices import LOCAL_PORT, OWNER, USERS, SmallDevice
from stream_client import StreamClient

MINUTE_MS = 60_000
MINUTES = 60
ALIVE_APART_MS = 12_000
CLIENTS = 4
TUNNELS = 3
TUNNEL_LEN = 6_000
# Longer than the device takes to notice that nobody is there.
SILENCE_MS = 90_000
LOSS_MS = 40_000
PRESS_MS = 300
# A press opens pairing for so long; another one would close it.
PAIRING_MS = 120_000
HOST = "192.168.1.20"
AIR = {"ssid": "home"}


class BusyHour:
    """`run` it; whatever a client does not get fails an assertion. `minutes` counts those that are over."""

    def __init__(self, device: SmallDevice, is_board: bool, has_tunnels: bool, minute_ms: int = MINUTE_MS) -> None:
        self.device = device
        self.world = device.world
        self.is_board = is_board
        self.has_tunnels = has_tunnels
        self.chance = random.Random(4)
        self.clients: list[StreamClient] = []
        self.minute_ms = minute_ms
        self.minutes = 0
        self._open_until_ms = 0
        self.guest = (USERS).to_bytes(16, "big")

    def run(self) -> None:
        """One minute after the other, each with something else in it."""
        for minute in range(MINUTES):
            end_ms = self.world.now_ms + self.minute_ms
            self._calls()
            if minute % 5 == 1:
                self._pair()
            if minute % 5 == 2 and self.has_tunnels:
                self._tunnels()
            if minute % 10 == 3:
                self._lose_network()
            if minute % 10 == 8:
                self._attach_again()
            self._stay(max(0, end_ms - self.world.now_ms))
            self.minutes += 1

    def _stay(self, duration_ms: int) -> None:
        """Time passes, attached."""
        end_ms = self.world.now_ms + duration_ms
        while self.world.now_ms < end_ms:
            self.device.basestation.alive()
            self.world.run(min(ALIVE_APART_MS, max(1, end_ms - self.world.now_ms)))

    def _calls(self) -> None:
        """A client comes, the one that was here longest is gone without a word, and all of them ask for things."""
        if len(self.clients) == CLIENTS:
            self.clients.pop(0).close()
        self.clients.append(self.device.client())
        for client in self.clients:
            for number in range(5):
                with contextlib.suppress(TimeoutError):
                    self._ask(client, number)
        self.device.basestation.alive()

    def _ask(self, client: StreamClient, number: int) -> None:
        if client is self.clients[-1]:
            assert self.has_tunnels or client.call(1, bytes((number, 1))) == b"\x01"
            assert len(client.call(11000, b"\x00" + bytes(4))) > 100
        else:
            client.socket.settimeout(0.2)  # it may have been given up
            client.call(10000)

    def _pair(self) -> None:
        """The last user is removed, and pairs again on the local network, after a press where there is a button."""
        assert self.device.client(OWNER).call(11070, self._raw(self.guest)) == b"\x00"
        if self.is_board and self.world.now_ms >= self._open_until_ms:
            button = self.device.folder / "board/pins/BUTTON"
            button.write_text("1")
            self.world.run(PRESS_MS)
            button.write_text("0")
            self.world.run(PRESS_MS)
            self._open_until_ms = self.world.now_ms + PAIRING_MS
        lan = LanClient(LOCAL_PORT, self.guest, self.world.socket(HOST))
        response, answer = lan.call(11010, self._raw(b"somebody at the door"))
        assert response and answer[:1] == b"\x00", answer
        lan.close()

    def _tunnels(self) -> None:
        """Several at once, each to an echo."""
        client = self.device.client()
        line = b"tunnel host=127.0.0.1 port=80\n"
        streams = [client.open(line) for _ in range(TUNNELS)]
        data = self.chance.randbytes(TUNNEL_LEN)
        sent = [0] * TUNNELS
        got = [bytearray() for _ in streams]

        def complete() -> bool:
            for i, stream in enumerate(streams):
                sent[i] += stream.write(self.world.now_ms, memoryview(data)[sent[i] :])
                got[i] += stream.read()
            return all(len(part) == TUNNEL_LEN for part in got)

        client.until(complete)
        assert all(part == data for part in got)
        for stream in streams:
            stream.close(self.world.now_ms)
        client.until(lambda: all(stream.at_eof and stream.state in (CLOSED, TIME_WAIT) for stream in streams))
        client.close()

    def _lose_network(self) -> None:
        """Wi-Fi goes and comes back; without a radio, nothing gets through for so long."""
        air = self.device.folder / "board/air.json"
        if self.is_board:
            air.write_text(json.dumps([]))
        self.world.lost = True
        self.world.run(LOSS_MS)
        self.world.lost = False
        if self.is_board:
            air.write_text(json.dumps([AIR]))
        self._attach_again()

    def _attach_again(self) -> None:
        """The basestation knows nothing any more, and is found again."""
        basestation = self.device.basestation
        basestation.keys = None
        basestation.socket.settimeout(SILENCE_MS / 1000)
        basestation.attach()
        self.clients = []

    @staticmethod
    def _raw(octets: bytes) -> bytes:
        return len(octets).to_bytes(2, "big") + octets
