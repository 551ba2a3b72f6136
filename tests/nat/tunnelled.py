"""One TCP connection through `homeport tunnel`, with an echo at its other end, and what it carried."""

import contextlib
import hashlib
import json
import os
import random
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from netns import Node, stop
from parts import DeviceProcess, Parts

_LOOPBACK = "127.0.0.1"
_BLOCK = 16_384
_PERIOD_S = 0.05  # from block to block: a few hundred kilobytes a second
_PROGRESS = 200_000  # octets
_PATIENCE_S = 25.0


class Tunnelled:
    """Moves octets while it waits for something. The echo is a program beside the device, on its own address."""

    def __init__(self, parts: Parts, client: Node, beside_device: Node, device: DeviceProcess, *options: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._listener = beside_device.tcp()
        self._listener.bind((_LOOPBACK, 0))
        self._listener.listen()
        target = self._listener.getsockname()[1]
        self.tunnel = parts.start_homeport(client, *options, "tunnel", device.id, f"0:{_LOOPBACK}:{target}")
        self._lines = bytearray()
        self._near = client.tcp()
        self._far: socket.socket | None = None
        self._unsent = bytearray()
        self._unechoed = bytearray()
        self._source = random.Random(3)
        self._next_s = 0.0
        self._sent, self._heard = hashlib.sha256(), hashlib.sha256()
        self.sent_len = self.heard_len = 0

    def open(self) -> str:
        """Connect through the tunnel; returns its path."""
        self.until(lambda: self._last("listening") is not None, "the tunnel listens")
        listening = self._last("listening")
        assert listening is not None
        self._near.connect((_LOOPBACK, listening["local_port"]))
        self._near.setblocking(False)
        self.progress()
        return self.path

    @property
    def path(self) -> str:
        """What the tunnel said last of its path."""
        return str([event["path"] for event in self.events if "path" in event][-1])

    def until_path(self, path: str) -> None:
        """Carry octets until the tunnel goes that way, and then a lot more."""
        self.until(lambda: self.path == path, f"the tunnel goes {path}")
        self.progress()

    def progress(self) -> None:
        """Carry a lot of octets there and back that are sent from now on."""
        goal = self.sent_len + _PROGRESS
        self.until(lambda: self.heard_len >= goal, "octets come back")

    def finish(self) -> tuple[str, str]:
        """Wait for what is still under way; the SHA-256 of what was sent, and of what came back."""
        self._next_s = float("inf")
        self.until(lambda: self.heard_len >= self.sent_len, "everything is back")
        return self._sent.hexdigest(), self._heard.hexdigest()

    def close(self) -> None:
        """End the tunnel."""
        stop(self.tunnel)
        for sock in (self._near, self._listener, self._far):
            if sock is not None:
                sock.close()

    def until(self, true: Callable[[], object], what: str) -> None:
        """Carry octets until it is so."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s, f"{what}: {self.events}, {self.heard_len} of {self.sent_len} octets"
            assert self.tunnel.poll() is None, f"{what}: the tunnel ended; {self.events}"
            self._turn()

    def _last(self, event: str) -> dict[str, Any] | None:
        return next((one for one in reversed(self.events) if one["event"] == event), None)

    def _turn(self) -> None:
        """Move what can be moved."""
        readers: list[Any] = [self.tunnel.stdout, self._listener]
        writers: list[socket.socket] = []
        if self.sent_len or self._is_connected():
            readers.append(self._near)
            if not self._unsent and time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + _PERIOD_S
                self._unsent += self._source.randbytes(_BLOCK)
            writers += [self._near] if self._unsent else []
        if self._far is not None:
            readers.append(self._far)
            writers += [self._far] if self._unechoed else []
        readable, writable, _ = select.select(readers, writers, [], _PERIOD_S)
        if self.tunnel.stdout in readable:
            self._listen()
        if self._listener in readable:
            self._far = self._listener.accept()[0]
            self._far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._move(readable, writable)

    def _move(self, readable: list[Any], writable: list[socket.socket]) -> None:
        if self._far is not None and self._far in readable:
            self._unechoed += self._far.recv(_BLOCK)
        if self._far is not None and self._far in writable:
            del self._unechoed[: self._far.send(self._unechoed)]
        if self._near in writable:
            n = self._near.send(self._unsent)
            self._sent.update(self._unsent[:n])
            self.sent_len += n
            del self._unsent[:n]
        if self._near in readable:
            data = self._near.recv(_BLOCK)
            assert data, f"the connection ended after {self.heard_len} octets; {self.events}"
            self._heard.update(data)
            self.heard_len += len(data)

    def _listen(self) -> None:
        """Read what the tunnel says."""
        assert self.tunnel.stdout is not None
        self._lines += os.read(self.tunnel.stdout.fileno(), _BLOCK)
        *lines, rest = self._lines.split(b"\n")
        self._lines = bytearray(rest)
        self.events += map(json.loads, lines)

    def _is_connected(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._near.getpeername())
        return False
