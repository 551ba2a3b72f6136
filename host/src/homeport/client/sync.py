"""The client for programs without asyncio: the same names, every call waits for its result.

    with Client(Profile.load(home, "me"), home) as client, client.connect("demo.example.org") as device:
        state = device.call("heatpump_get_full_state.json")

An event loop runs in a thread of its own, so that connections are kept alive between calls. Calls may come from any
thread; an interrupted call (Ctrl-C) is given up properly.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from homeport_core.spec import PORT_LOCAL

from homeport import wire
from homeport.client import client as asynchronous
from homeport.client import device as asynchronous_device
from homeport.client.acl import AclSettings, User
from homeport.client.device import CALL_TIMEOUT_MS
from homeport.client.keys import Psk
from homeport.client.network.discovery import Found
from homeport.client.network.search import DISCOVERY_MS
from homeport.client.profile import Profile
from homeport.client.queries.interface import Interface
from homeport.client.session.paths import PathKind
from homeport.client.session.requests import Retry
from homeport.errors import StateError

T = TypeVar("T")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="homeport", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            coroutine.close()
            raise StateError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Client:
    """`homeport.client.client.Client`, waiting."""

    def __init__(
        self,
        profile: Profile,
        home: Path | None = None,
        *,
        local_port: int = PORT_LOCAL,
        search: list[wire.Address] | None = None,
    ) -> None:
        self._client = asynchronous.Client(profile, home, local_port=local_port, search=search)
        self._loop: _Loop | None = None

    def open(self) -> None:
        """Start. Raises OSError."""
        self._loop = _Loop()
        try:
            self._run(self._client.open())
        except BaseException:
            self._loop.close()
            self._loop = None
            raise

    def close(self) -> None:
        """Close all connections; harmless when closed."""
        if self._loop is not None:
            self._run(self._client.close())
            self._loop.close()
            self._loop = None

    def __enter__(self) -> Client:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def discover(
        self, device_id: str | None = None, timeout_ms: int = DISCOVERY_MS, address: wire.Address | None = None
    ) -> list[Found]:
        """The devices that answer on the local network."""
        return self._run(self._client.discover(device_id, timeout_ms, address))

    def connect(
        self,
        target: str,
        path: str = "auto",
        *,
        interface: Interface | None = None,
        psk: Psk | None = None,
        require_end_to_end: bool = False,
    ) -> Device:
        """Connect to `ID` or `ID@HOST:PORT`."""
        connecting = self._client.connect(
            target, path, interface=interface, psk=psk, require_end_to_end=require_end_to_end
        )
        return Device(self, self._run(connecting))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            coroutine.close()
            raise StateError("the client is not open")
        return self._loop.run(coroutine)


class Device:
    """`homeport.client.device.Device`, waiting."""

    def __init__(self, client: Client, device: asynchronous_device.Device) -> None:
        self._client = client
        self._device = device

    @property
    def id(self) -> str:
        """The device id."""
        return self._device.id

    @property
    def path(self) -> PathKind:
        """How packets travel at the moment."""
        return self._device.path

    @property
    def is_open(self) -> bool:
        """False once the connection has ended."""
        return self._device.is_open

    @property
    def end_to_end(self) -> bool:
        """Whether nobody but the device and we can read or alter anything, the basestation included."""
        return self._device.end_to_end

    @property
    def connect_ms(self) -> int:
        """How long it took to connect."""
        return self._device.connect_ms

    @property
    def elapsed_ms(self) -> int:
        """How long the last call took."""
        return self._device.elapsed_ms

    def request(self, payload: bytes, timeout_ms: int = CALL_TIMEOUT_MS, retry: Retry | str = Retry.SAFE) -> bytes:
        """Send a query id and parameters, return the answer's."""
        return self._run(self._device.request(payload, timeout_ms, retry))

    def call(self, query: str, /, **params: Any) -> dict[str, Any]:
        """Run a query by name."""
        return self._run(self._device.call(query, **params))

    def call_with(
        self,
        query: str,
        params: Mapping[str, Any],
        timeout_ms: int = CALL_TIMEOUT_MS,
        retry: Retry | str = Retry.SAFE,
    ) -> dict[str, Any]:
        """Run a query by name, with a time limit and a choice of repetition."""
        return self._run(self._device.call_with(query, params, timeout_ms, retry))

    def status(self) -> dict[str, Any]:
        """What there is to know about the device."""
        return self._run(self._device.status())

    def pair(self, name: str) -> User:
        """Enter ourselves into the device's list."""
        return self._run(self._device.pair(name))

    def current_user(self) -> User:
        """Our own entry."""
        return self._run(self._device.current_user())

    def users(self) -> list[User]:
        """All entries."""
        return self._run(self._device.users())

    def add_user(self, fingerprint: bytes, name: str) -> User:
        """Enter somebody else."""
        return self._run(self._device.add_user(fingerprint, name))

    def remove_user(self, fingerprint: bytes) -> None:
        """Take somebody out."""
        self._run(self._device.remove_user(fingerprint))

    def rename_user(self, fingerprint: bytes, name: str) -> User:
        """Change a name."""
        return self._run(self._device.rename_user(fingerprint, name))

    def set_permissions(self, fingerprint: bytes, permissions: int) -> User:
        """Replace all permission bits."""
        return self._run(self._device.set_permissions(fingerprint, permissions))

    def allow(self, fingerprint: bytes, bits: int) -> User:
        """Add permission bits."""
        return self._run(self._device.allow(fingerprint, bits))

    def deny(self, fingerprint: bytes, bits: int) -> User:
        """Take permission bits away."""
        return self._run(self._device.deny(fingerprint, bits))

    def settings(self) -> AclSettings:
        """The device's settings."""
        return self._run(self._device.settings())

    def change_settings(
        self, pairing: bool | None = None, remote: bool | None = None, new_users_remote: bool | None = None
    ) -> AclSettings:
        """Change what is not None."""
        return self._run(self._device.change_settings(pairing, remote, new_users_remote))

    def open_stream(self, command: str, answers: bool | None = None) -> Stream:
        """Open a stream to a service of the device."""
        return Stream(self._client, *self._run(self._device.open_stream(command, answers)))

    def open_tunnel(self, host: str, port: int) -> Stream:
        """Open a TCP connection to `host` and `port` as the device sees them."""
        return Stream(self._client, *self._run(self._device.open_tunnel(host, port)))

    @contextlib.contextmanager
    def forward(self, host: str, port: int, local_port: int = 0) -> Iterator[int]:
        """Forward a local TCP port, the context's value, through the device; connections need no calls in between."""
        forwarding = self._device.forward(host, port, local_port)
        port = self._run(forwarding.__aenter__())
        try:
            yield port
        finally:
            self._run(forwarding.__aexit__(None, None, None))

    def close(self) -> None:
        """End the connection."""
        self._run(self._device.close())

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._client._run(coroutine)


class Stream:
    """An open stream of a device, as one would use a socket; one thread may send while another receives."""

    def __init__(self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._client = client
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send all of `data`; waits while the device takes no more. Raises StreamError, ConnectionResetError."""
        self._client._run(self._send(data))

    def receive(self, n: int = 65_536) -> bytes:
        """Wait for some octets, at most `n`; b"" when the device has closed its direction. Raises StreamError."""
        return self._client._run(self._reader.read(n))

    def end(self) -> None:
        """Close our direction; receiving goes on."""
        self._client._run(self._end())

    def close(self) -> None:
        """Close, and wait until the device has what was sent."""
        self._client._run(self._close())

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _end(self) -> None:
        self._writer.write_eof()

    async def _close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
