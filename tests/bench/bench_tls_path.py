"""What the path over TLS costs, as ratios within one run.

    python tests/bench/bench_tls_path.py

An echo stream of a device on CPython, through the relay over UDP and through the gate's WebSocket; and what the
WebSocket itself can carry: datagrams of the same size from the client's link to a gate that sends each back, without
any session. All processes share this machine's cores, so the device is what most of the time goes to.
"""

import asyncio
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gate_server import Gate, self_signed
from homeport.client import Client, Profile
from homeport.client.gate.link import GateLink
from processes import basestation, device
from remote_world import World

ROUNDS = 3
STREAM_LEN = 3_000_000
DATAGRAM_LEN = 1_368
DATAGRAMS = 5_000
IN_FLIGHT = 64
MEGABYTE = 1e6


async def echo(client: Client, path: str) -> float:
    """Bytes a second, each way at once."""
    async with await client.connect("demo", path) as gateway:
        reader, writer = await gateway.open_stream("echo")
        data = os.urandom(STREAM_LEN)
        started = time.perf_counter()
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        return STREAM_LEN / (time.perf_counter() - started)


async def bare(profile: Profile, directory: Path) -> float:
    """Bytes a second, each way at once, of datagrams that a gate sends straight back."""
    path, pin = self_signed(directory)
    async with Gate(path) as gate:
        link = GateLink(dataclasses.replace(profile, basestation=f"127.0.0.1:{gate.port}", pin=pin))
        gate.on_datagram = lambda peer, data: peer.send_datagram(data)
        came = asyncio.Semaphore(IN_FLIGHT)
        link.on_datagrams = lambda datagrams: [came.release() for _ in datagrams]
        await link.hello()
        data = os.urandom(DATAGRAM_LEN)
        started = time.perf_counter()
        for _ in range(DATAGRAMS):
            await came.acquire()
            link.send_datagram(data)
        for _ in range(IN_FLIGHT):
            await came.acquire()
        elapsed = time.perf_counter() - started
        await link.close()
    return DATAGRAMS * DATAGRAM_LEN / elapsed


async def measure(world: World, directory: Path) -> None:
    rates: dict[str, list[float]] = {"websocket": [], "relay": [], "tls": []}
    for _ in range(ROUNDS):
        rates["websocket"].append(await bare(world.profile, directory))
        for path in ("relay", "tls"):
            async with world.client() as client:
                rates[path].append(await echo(client, path))
    best = {name: max(found) for name, found in rates.items()}
    for name, rate in best.items():
        print(f"{name:10} {rate / MEGABYTE:6.2f} MB/s each way")
    print(f"tls / relay {best['tls'] / best['relay']:.2f}, tls / websocket {best['tls'] / best['websocket']:.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        world = World(directory, "tunnel_gateway", "--allow-all-ports")
        runs = device(
            world.ports, directory / "state", "--allow-all-ports",
            app="tunnel_gateway", until="attached", runtime="cpython",
        )  # fmt: skip
        with basestation(world.root, world.ports), runs:
            world.pair()
            asyncio.run(measure(world, directory))


if __name__ == "__main__":
    main()
