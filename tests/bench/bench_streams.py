"""How fast streams are, as ratios within one run.

    python tests/bench/bench_streams.py

First on this machine: a tunnel and a stream from the client library to a device, both on CPython, against a plain
asyncio TCP proxy between the same source and sink; then to a device on Unix MicroPython, against the same segments
sealed and sent, or received and opened, without streams. All of it is encrypted. Both paths, local and direct, stay on
this machine, where a segment may have 60,015 octets; to MicroPython segments have 1,247.

What the device on MicroPython is measured against, in datagrams of one full segment each:

- "datagrams of the firmware", its own loop, ratio 1: driver, stack and port as in any device, asyncio included, but a
  counter in place of the streams (`datagram_flow_device`). Up: receive, decode, find the connection, verify, decrypt.
  Down: write WINDOW, seal, send. Nothing is acknowledged, kept, ordered or read.
- "barest loop": a script of one socket and one key that knows neither connections nor timers, nor runs asyncio
  (`datagram_loop_micropython`): what the interpreter and its cryptography leave to anybody.

Rates are octets per second of processor time of the device, or the script, alone: the client's end and other work on
the machine are no limit to them.

Then on simulated paths, where nothing depends on this machine: goodput against a sender with a fixed window of four.
"""

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from datagram_flow import datagram_flow
from device_process import DeviceProcess, running
from device_process import environment as firmware_environment
from homeport.client import Profile
from homeport_core.crypto import AesContext
from homeport_core.packet import encode
from homeport_core.spec import PL_WINDOW, PT_DATA
from processes import HOMEPORT, KEY, Ports, answer, basestation, environment, free_port, homeport
from reno import reno_goodput
from stream_flow import stream_rate
from stream_link import Link
from stream_pairs import OURS, REFERENCE, links
from stream_speed import RUN_MS, goodput
from tcp_flow import Target

SUPPORT = Path(__file__).resolve().parents[1] / "support"
MICROPYTHON = str(Path(sys.executable).with_name("micropython"))
FLOW = str(SUPPORT / "stream_flow_device.py")
LABEL = "00112233445566778899aabbccddeeff"
ROUNDS = 3
SEGMENT = 1247
LOOP_S = 2
MEGABYTE = 1e6
MEGABIT = 1e6 / 8


class Paired:
    """A basestation, a device that runs `app`, and a profile that is paired with it by the device's label."""

    def __init__(self, root: Path, profile: Profile, device: DeviceProcess) -> None:
        self.home = root / "home"
        self.pid = device.process.pid
        self.profile = profile
        self.local = f"demo@127.0.0.1:{device.local_port}"
        label = root / "label"
        label.write_text(LABEL + "\n")
        done = homeport("--home", self.home, "pair", self.local, "--label-secret-file", label)
        assert done.returncode == 0, done.stderr

    def stream(self, path: str, upwards: bool, clock: Callable[[], float] = time.perf_counter) -> float:
        """Octets per second of `clock` over a stream."""
        return stream_rate(self.profile, self.local if path == "local" else "demo", path, upwards, clock)

    @contextmanager
    def tunnel(self, target: Target) -> Iterator[tuple[int, int]]:
        """`homeport tunnel` to the target; yields its local port and its process id."""
        command = [HOMEPORT, "--home", str(self.home), "--json", "tunnel", self.local, f"0:127.0.0.1:{target.port}"]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                news = json.loads(line)
                if news["event"] == "listening":
                    yield news["local_port"], process.pid
                    return
        finally:
            process.send_signal(2)
            process.wait()


@contextmanager
def paired(runtime: str, app: str, *options: str) -> Iterator[Paired]:
    """All of that, running."""
    os.environ["HOMEPORT_LABEL_SECRET"] = LABEL
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        ports = Ports()
        pin = answer("basestation", "init", root / "base")["pin"]
        answer("device", "add", "demo", "--dir", root / "base", "--key", KEY)
        profile = Profile.create(root / "home", "bench", basestation=f"127.0.0.1:{ports.gate}", pin=pin)
        where = ["--id", "demo", "--key", KEY, "--controller", f"127.0.0.1:{ports.controller}", *options]
        with basestation(root / "base", ports), running(runtime, app, root / "state", *where) as device:
            assert device.wait_for("homeport: attached"), device.lines
            yield Paired(root, profile, device)


@contextmanager
def plain_proxy(target: Target) -> Iterator[tuple[int, int]]:
    """The plain proxy to the target; yields its port and its process id."""
    command = [sys.executable, str(SUPPORT / "plain_proxy.py"), str(target.port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()


def show(name: str, rates: list[float], ratio: float, unit: float = MEGABYTE) -> None:
    print(f"{name:44} {statistics.median(rates) / unit:8.1f} MB/s  ratio {ratio:.2f}")


def on_cpython() -> None:
    """A tunnel is two processes, client and device, a plain proxy one; each could have a core of its own.

    Here they share cores with their source, their sink and whatever else runs, so what counts is octets per second of
    processor time of the busiest of them. Interleaved, so that what else happens hits all alike.
    """
    target = Target()
    rates: dict[str, list[float]] = {}

    def note(name: str, rate: float) -> None:
        rates.setdefault(name, []).append(rate)

    with (
        plain_proxy(target) as (plain_port, plain_pid),
        paired("cpython", "tunnel_gateway", "--allow-port", str(target.port)) as gateway,
        paired("cpython", FLOW) as device,
        gateway.tunnel(target) as (tunnel_port, tunnel_pid),
    ):
        for _ in range(ROUNDS):
            for way in ("up", "down"):
                plain = target.measure(plain_port, way == "up", Busiest(plain_pid))
                note(f"plain asyncio TCP proxy, {way}", plain)
                tunnel = target.measure(tunnel_port, way == "up", Busiest(tunnel_pid, gateway.pid))
                note(f"tunnel, local path, {way}", tunnel)
                for path, name in (("local", "local path"), ("direct", "direct path")):
                    stream = device.stream(path, way == "up", Busiest(os.getpid(), device.pid))
                    note(f"stream, {name}, {way}", stream)
    for name, found in rates.items():
        plain = statistics.median(rates[f"plain asyncio TCP proxy, {name.rpartition(' ')[2]}"])
        show(name, found, statistics.median(found) / plain)


class Busiest:
    """A clock: seconds of processor time of the process that used the most since the clock was first asked."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._from: list[float] | None = None

    def __call__(self) -> float:
        used = [cpu_s(pid) for pid in self._pids]
        if self._from is None:
            self._from = used
        return max(now - before for now, before in zip(used, self._from, strict=True))


def cpu_s(pid: int) -> float:
    """Seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def on_micropython() -> None:
    """What the firmware carries, against its own loop without streams, and against the barest loop there is; all per
    second of processor time."""
    rates: dict[str, list[float]] = {}

    def note(name: str, rate: float) -> None:
        rates.setdefault(name, []).append(rate)

    with paired("micropython", FLOW) as device:
        device_clock = Busiest(device.pid)
        for _ in range(ROUNDS):
            with datagram_flow("micropython") as firmware:
                firmware_clock = Busiest(firmware.pid)
                note("datagrams of the firmware, up", firmware.receives(firmware_clock))
                note("datagrams of the firmware, down", firmware.sends(firmware_clock))
            for way in ("up", "down"):
                note(f"stream, {way}", device.stream("direct", way == "up", device_clock))
                note(f"barest loop, {way}", barest_loop(way))
    for name, found in rates.items():
        bare = rates[f"datagrams of the firmware, {name.rpartition(' ')[2]}"]
        show("MicroPython: " + name, found, statistics.median(found) / statistics.median(bare))


def barest_loop(way: str) -> float:
    """What a script carries that does nothing else than receive and open, or seal and send."""
    port = free_port()
    command = [MICROPYTHON, str(SUPPORT / "datagram_loop_micropython.py")]
    command += ["receive" if way == "up" else "send", str(port), str(SEGMENT), str(LOOP_S)]
    used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env=firmware_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        if way == "up":
            process.stdout.readline()
            keys, payloads = AesContext(bytes(range(96)), True), [(PL_WINDOW, bytes(16))]
            full = encode(PT_DATA, payloads, tag=0x1000, context=keys, plaintext=bytes(SEGMENT), iv=bytes(16))
            while process.poll() is None:
                for _ in range(64):
                    other.sendto(full, ("127.0.0.1", port))
                time.sleep(0.0005)
        else:
            other.bind(("127.0.0.1", port))
        out, _ = process.communicate(timeout=60)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(out) / (used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime)


def simulated() -> None:
    """Round trips of 50 ms with loss, and a bottleneck of 10 Mbit/s with a short queue."""
    print("\nsimulated, 50 ms round trip, Mbit/s (median of 3 seeds)")
    for loss in (0.0, 0.01, 0.03, 0.05, 0.10):
        plain = statistics.median(reno_goodput(*links(seed, delay_ms=25, loss=loss), RUN_MS) for seed in range(3))
        line = f"  loss {loss:5.0%}  window-4 Reno {plain / MEGABIT:6.2f}"
        for right in (OURS, REFERENCE):
            found = [goodput(*links(seed, delay_ms=25, loss=loss), right) for seed in range(3)]
            rate = statistics.median(rate for rate, _ in found)
            wasted = max(share for _, share in found)
            line += f"  to {right} {rate / MEGABIT:6.2f} (ratio {rate / plain:5.1f}, wasted {wasted:.1%})"
        print(line)
    for queue in (15_000, 60_000, 250_000):
        there = Link(1, 25, bandwidth=1250, queue=queue)
        rate, wasted = goodput(there, Link(2, 25))
        lost = there.overflowed / there.datagrams
        print(
            f"  10 Mbit/s, queue {queue:7}: {rate / MEGABIT:5.2f}, wasted {wasted:.1%}, dropped by the queue {lost:.1%}"
        )


def main() -> None:
    on_cpython()
    on_micropython()
    simulated()


if __name__ == "__main__":
    main()
