"""Looking for devices on the local network: the discovery machine on a hub, for a while."""

from __future__ import annotations

import asyncio
import secrets
import socket

from homeport_core.spec import PORT_LOCAL

from homeport import wire
from homeport.client.network.broadcast import search_endpoints
from homeport.client.network.discovery import Discovery, Found
from homeport.client.network.hub import Hub
from homeport.errors import ConfigError

DISCOVERY_MS = 1_500


async def find_devices(address: wire.Address | None = None, timeout_ms: int = DISCOVERY_MS) -> list[Found]:
    """The devices on the network (or at `address`), without a client and its profile. Raises OSError, ConfigError."""
    endpoints = search_endpoints(PORT_LOCAL) if address is None else [await resolve(address)]
    hub = Hub()
    hub.open()
    try:
        return await search(hub, endpoints, None, timeout_ms)
    finally:
        hub.close()


async def resolve(address: wire.Address) -> bytes:
    """The IPv4 endpoint (6 bytes) of a host name or address and a port. Raises ConfigError."""
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(*address, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:  # a label of more than 63 characters is a UnicodeError
        raise ConfigError(f"cannot find the address of {address[0][:80]!r}") from error
    host, port = infos[0][4][:2]
    return wire.endpoint((str(host), int(port)))


async def search(hub: Hub, endpoints: list[bytes], device_id: str | None, timeout_ms: int) -> list[Found]:
    """The devices that answer, each once; with a `device_id` until the first answer."""
    found: dict[str, Found] = {}
    first = asyncio.Event()

    def on_found(one: Found) -> None:
        found.setdefault(one.device_id, one)
        if device_id is not None:
            first.set()

    discovery = Discovery(device_id, endpoints, secrets.token_bytes(8))
    hub.add(discovery, on_found)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await first.wait()
    except TimeoutError:
        pass  # the time for answers is over
    finally:
        hub.remove(discovery)
    return list(found.values())
