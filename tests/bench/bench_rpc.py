"""RPC round trips a second over each path, as ratios to a bare UDP echo on the same MicroPython in the same run.

    python tests/bench/bench_rpc.py

Basestation, device and echo are processes of their own on loopback; the client is this process. `one at a time` waits
for each answer before the next request, `four at once` keeps as many in flight as a device keeps answers for.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from homeport.client import Client, Profile
from processes import KEY, Ports, answer, basestation, device, environment, free_port

SUPPORT = Path(__file__).parents[1] / "support"
MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
RUN_S = 1.5
AT_ONCE = 4
PATHS = ("local", "direct", "relay")
GET_STATE = (20000).to_bytes(4)


async def rate(call: Callable[[], Awaitable[object]], at_once: int) -> float:
    """Calls a second, with `at_once` of them in flight."""
    done = 0
    end = time.perf_counter() + RUN_S

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return done / RUN_S


def echo_rate(port: int, size: int) -> float:
    """Round trips a second of a plain socket with the bare echo."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(5)
        done = 0
        end = time.perf_counter() + RUN_S
        while time.perf_counter() < end:
            sock.send(bytes(size))
            sock.recv(1500)
            done += 1
    return done / RUN_S


async def asyncio_echo_rate(port: int, size: int) -> float:
    """The same from an asyncio program, as the client library is one."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))

        async def call() -> None:
            await loop.sock_sendall(sock, bytes(size))
            await loop.sock_recv(sock, 1500)

        return await rate(call, 1)


async def measure(profile: Profile, ports: Ports) -> dict[str, tuple[float, float]]:
    """Path → round trips a second, one at a time and four at once."""
    rates = {}
    async with Client(profile, search=[("127.0.0.1", ports.local)]) as client:
        for path in PATHS:
            async with await client.connect("demo", path) as heat_pump:

                async def call(heat_pump=heat_pump) -> bytes:
                    return await heat_pump.request(GET_STATE)

                rates[path] = (await rate(call, 1), await rate(call, AT_ONCE))
    return rates


async def pair(profile: Profile, ports: Ports) -> None:
    async with Client(profile) as client, await client.connect(f"demo@127.0.0.1:{ports.local}") as heat_pump:
        await heat_pump.pair("bench")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        ports = Ports()
        pin = answer("basestation", "init", root / "base")["pin"]
        answer("device", "add", "demo", "--dir", root / "base", "--key", KEY)
        profile = Profile.create(root / "home", "bench", basestation=f"127.0.0.1:{ports.gate}", pin=pin)
        echo_port = free_port()
        echo = subprocess.Popen(
            [MICROPYTHON, str(SUPPORT / "udp_echo_micropython.py"), str(echo_port)],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert echo.stdout is not None and echo.stdout.readline()
            plain = echo_rate(echo_port, 70)
            from_asyncio = asyncio.run(asyncio_echo_rate(echo_port, 70))
        finally:
            echo.kill()
            echo.wait()
        with basestation(root / "base", ports), device(ports, root / "state", until="attached"):
            asyncio.run(pair(profile, ports))
            rates = asyncio.run(measure(profile, ports))
    print(f"bare echo on MicroPython      {plain:8.0f}/s")
    print(f"the same asked from asyncio   {from_asyncio:8.0f}/s  ratio {from_asyncio / plain:.2f}")
    for path, (single, several) in rates.items():
        print(
            f"{path:7} one at a time         {single:8.0f}/s  ratio {single / plain:.2f}; "
            f"four at once {several:8.0f}/s  ratio {several / plain:.2f}"
        )


if __name__ == "__main__":
    main()
