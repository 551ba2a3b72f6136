"""How many octets a second a stream carries between the client library and a device with `source` and `sink`."""

import asyncio
import time
from collections.abc import Callable

from homeport.client import Client, Profile

WARM_S, MEASURE_S = 0.7, 2.0
_BLOCK = bytes(1 << 16)
_PATIENCE_S = 20


async def _measure(profile: Profile, target: str, path: str, upwards: bool, clock: Callable[[], float]) -> float:
    async with asyncio.timeout(_PATIENCE_S), Client(profile) as client, await client.connect(target, path) as device:
        reader, writer = await device.open_stream("sink" if upwards else "source")
        start = time.perf_counter()
        counted_from, clock_from, total = 0.0, 0.0, 0
        try:
            while True:
                if upwards:
                    writer.write(_BLOCK)
                    await writer.drain()
                    n = len(_BLOCK)
                else:
                    n = len(await reader.read(1 << 18))
                now = time.perf_counter()
                if counted_from:
                    total += n
                    if now - counted_from >= MEASURE_S:
                        return total / (clock() - clock_from)
                elif now - start >= WARM_S:
                    counted_from, clock_from = now, clock()
        finally:
            writer.transport.abort()


def stream_rate(
    profile: Profile, target: str, path: str, upwards: bool, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Octets per second of `clock` over a stream on this path; `upwards` is towards the device."""
    return asyncio.run(_measure(profile, target, path, upwards, clock))
