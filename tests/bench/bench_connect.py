"""How many round trips it takes from `connect` to the first answer, on a link where a round trip takes 100 ms; and how
long `homeport netcheck` takes there.

    python tests/bench/bench_connect.py

A TCP and a UDP forwarder of this process delay what passes between client and basestation; the device is near the
basestation. The least that theory allows for a client that knows nothing yet: TCP 1, TLS 1.3 1, WebSocket 1,
introduction 1, request 1; with the link to the gate open: introduction 1, request 1.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from homeport.client import Client, Profile
from homeport.client.netcheck import check_basestation, check_device
from homeport.errors import DeviceOffline
from processes import KEY, Ports, answer, basestation, device
from slow_link import SlowLink

RTT_S = 0.1
FAR = "127.0.0.2"
PATHS = ("relay", "tls", "auto")
LEAST_COLD, LEAST_WARM = 5, 2
GET_STATE = (20000).to_bytes(4)


async def first_answer(client: Client, path: str) -> float:
    """Round trips from `connect` to the first answer."""
    started = time.perf_counter()
    async with await client.connect("demo", path) as heat_pump:
        await heat_pump.request(GET_STATE)
        return (time.perf_counter() - started) / RTT_S


async def measure(profile: Profile, ports: Ports) -> None:
    link = SlowLink(RTT_S)
    await link.tcp((FAR, ports.gate), ("127.0.0.1", ports.gate))
    for port in (ports.controller, ports.gsp):
        link.udp((FAR, port), ("127.0.0.1", port))
    try:
        async with Client(profile) as client:
            while True:
                try:
                    await first_answer(client, "relay")
                    break
                except DeviceOffline:
                    await asyncio.sleep(RTT_S)  # it attaches through the link
        print(f"round trips to the first answer; the least: {LEAST_COLD} cold, {LEAST_WARM} with the link open")
        for path in PATHS:
            async with Client(profile, search=[("127.0.0.1", 9)]) as client:
                cold = await first_answer(client, path)
                warm = await first_answer(client, path)
            print(f"{path:8} cold {cold:5.1f}   link open {warm:5.1f}")
        started = time.perf_counter()
        await asyncio.gather(check_basestation(profile), check_device(profile, None, "demo"))
        print(f"netcheck with a device: {time.perf_counter() - started:.2f} s")
    finally:
        await link.close()


async def pair(profile: Profile, ports: Ports) -> None:
    async with Client(profile) as client, await client.connect(f"demo@127.0.0.1:{ports.local}") as heat_pump:
        await heat_pump.pair("bench")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        ports = Ports()
        pin = answer("basestation", "init", root / "base")["pin"]
        (root / "base" / "basestation.toml").write_text(f'public = "{FAR}"\n')
        answer("device", "add", "demo", "--dir", root / "base", "--key", KEY)
        profile = Profile.create(root / "home", "bench", basestation=f"{FAR}:{ports.gate}", pin=pin)

        async def run() -> None:
            await pair(profile, ports)
            await measure(profile, ports)

        with basestation(root / "base", ports), device(ports, root / "state"):
            asyncio.run(run())


if __name__ == "__main__":
    main()
