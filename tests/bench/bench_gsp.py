"""GSP throughput and memory, as ratios within one run: `python tests/bench/bench_gsp.py [alive relay attach memory]`.

alive, relay  packets a second through the real adapter, against a bare drained-socket echo in the same process. The
              load comes from another process over loopback, IN_FLIGHT datagrams at a time. Packets are counted per
              second of this process's CPU time as well, for the load generator shares the machine.
attach        whole attaches a second, the GSP's share of the work only.
memory        resident memory per attached device, in a fresh process.
"""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gsp_peers import FINGERPRINT, Client, Device, Inventory, attach, drain, exchange, make_rng  # noqa: E402
from homeport.basestation.events import Connected  # noqa: E402
from homeport.basestation.gsp.connect import ConnectRequest  # noqa: E402
from homeport.basestation.gsp.dispatch import Gsp  # noqa: E402
from homeport.basestation.gsp.settings import GspSettings, RateLimit  # noqa: E402
from homeport.basestation.udp import BATCH, UdpEndpoint  # noqa: E402
from homeport_core.packet import encode  # noqa: E402
from homeport_core.payloads import build_notify  # noqa: E402
from homeport_core.spec import FL_RESPONSE, NOTIFY_OK, PL_NOTIFY, PT_U_ALIVE  # noqa: E402

IN_FLIGHT = 64
SECONDS = 3.0
SESSIONS = 500
ALIVE_DEVICES = 6_400
ATTACHES = 3_000
MEMORY_DEVICES = 50_000
OPEN_LIMIT = RateLimit(1_000_000, 1_000_000.0)
UNLIMITED = GspSettings(
    source=OPEN_LIMIT, device=OPEN_LIMIT, sessions_per_device=SESSIONS, session_packets_per_s=1 << 40
)


# The load generator: a process of its own. It tells its two ports, then obeys: "echo", "relay" or "alive".


def generate():
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (near, far):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(1.0)
    print(near.getsockname()[1], far.getsockname()[1], flush=True)
    mode, port, seconds, packets = sys.stdin.readline().split()
    server = ("127.0.0.1", int(port))
    end = time.monotonic() + float(seconds)
    if mode == "alive":
        _answer_alive(far, server, end)
    else:
        _keep_in_flight(near, near if mode == "echo" else far, server, end, packets.split(","))


def _keep_in_flight(near, back, server, end, packets):
    """Send over `near`; for each datagram that comes back over `back` send the next."""
    packets = [bytes.fromhex(packet) for packet in packets]
    count = len(packets)
    for n in range(IN_FLIGHT):
        near.sendto(packets[n % count], server)
    send, receive = near.sendto, back.recv
    n = IN_FLIGHT
    try:
        while n % 256 or time.monotonic() < end:
            receive(2048)
            send(packets[n % count], server)
            n += 1
    except TimeoutError:
        sys.exit("datagrams were lost on loopback")


def _answer_alive(far, server, end):
    """Answer each keep-alive request as the device whose NSI it carries."""
    tail = bytes((PL_NOTIFY, 0, 0, 8)) + NOTIFY_OK.to_bytes(4, "big")
    try:
        n = 0
        while n % 256 or time.monotonic() < end:
            data = far.recv(2048)
            far.sendto(data[:11] + bytes((FL_RESPONSE,)) + data[12:14] + b"\x00\x18" + tail, server)
            n += 1
    except TimeoutError:
        sys.exit("requests were lost on loopback")


class Generator:
    """The other process."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__, "generate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports = self._process.stdout.readline().split()
        self.near, self.far = (("127.0.0.1", int(port)) for port in ports)

    async def run(self, mode, port, packets=(b"",)):
        """Let it load `port`; returns (wall seconds, CPU seconds of this process) once it has stopped."""
        wall, cpu = time.perf_counter(), time.process_time()
        command = f"{mode} {port} {SECONDS} {','.join(packet.hex() for packet in packets) or '-'}\n"
        self._process.stdin.write(command)
        self._process.stdin.flush()
        while self._process.poll() is None:
            await asyncio.sleep(0.05)
        if self._process.returncode:
            sys.exit(f"the load generator failed ({mode})")
        return time.perf_counter() - wall, time.process_time() - cpu


# Measurements. Each returns (packets a second, packets a CPU second).


async def measure_echo(packet):
    """The baseline: a drained socket that sends back what it gets."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    echoed = 0

    def readable():
        nonlocal echoed
        for _ in range(BATCH):
            try:
                data, source = sock.recvfrom(2048)
            except BlockingIOError:
                return
            sock.sendto(data, source)
            echoed += 1

    loop = asyncio.get_running_loop()
    loop.add_reader(sock, readable)
    wall, cpu = await Generator().run("echo", sock.getsockname()[1], (packet,))
    loop.remove_reader(sock)
    sock.close()
    return echoed / wall, echoed / cpu


def attached_devices(gsp, inventory, count, address):
    devices = []
    for n in range(count):
        device = Device(b"dev%d.example.net" % n, address=address, seed=n)
        inventory.provision(device.device_id)
        exchange(gsp, device, attach(gsp, device))
        devices.append(device)
    return devices


async def measure_relay():
    """A client's DATA through the GSP to the device, over many sessions."""
    inventory = Inventory()
    gsp = Gsp(UNLIMITED, inventory, make_rng())
    generator = Generator()
    device = attached_devices(gsp, inventory, 1, generator.far)[0]
    packets = []
    for _ in range(SESSIONS):
        gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
        exchange(gsp, device, gsp.timeout(0))
        event = next(event for event in drain(gsp) if isinstance(event, Connected))
        client = Client(event.nsi, event.key_material, generator.near)
        gsp.datagram(0, client.keep_alive(), client.address)
        packets.append(client.data(bytes(60)))
    endpoint = UdpEndpoint(gsp, lambda event: None, clock=lambda: 0)
    _, port = endpoint.open(("127.0.0.1", 0))
    before = gsp.counters.relayed_up
    wall, cpu = await generator.run("relay", port, packets)
    endpoint.close()
    relayed = gsp.counters.relayed_up - before
    return relayed / wall, relayed / cpu


async def measure_alive():
    """Keep-alive exchanges, one request and one answer each, with time passing as fast as the answers come."""
    inventory = Inventory()
    gsp = Gsp(UNLIMITED, inventory, make_rng())
    generator = Generator()
    attached_devices(gsp, inventory, ALIVE_DEVICES, generator.far)
    rows = gsp.snapshot()
    gsp = Gsp(GspSettings(restore_per_tick=IN_FLIGHT), inventory, make_rng())
    gsp.restore(0, rows)
    endpoint = UdpEndpoint(gsp, lambda event: None, clock=lambda: gsp.counters.alive_answers // IN_FLIGHT * 100)
    measured = asyncio.create_task(generator.run("alive", (port := _free_port()), ()))
    await asyncio.sleep(0.2)
    endpoint.open(("127.0.0.1", port))

    def readable():
        endpoint._readable()
        endpoint.wake()  # the timer was set for real time

    asyncio.get_running_loop().add_reader(endpoint._socket, readable)
    wall, cpu = await measured
    endpoint.close()
    return gsp.counters.alive_answers / wall, gsp.counters.alive_answers / cpu


def _free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def measure_attach():
    """Attaches a second of CPU time, the devices' share left out."""
    inventory = Inventory()
    gsp = Gsp(UNLIMITED, inventory, os.urandom)
    devices = [Device(b"dev%d.example.net" % n, address=_unique_address(n), seed=n) for n in range(ATTACHES)]
    spent = 0.0
    for device in devices:
        inventory.provision(device.device_id)
        invite = device.invite()
        started = time.process_time()
        ((packet, _),) = gsp.datagram(0, invite, device.address)
        spent += time.process_time() - started
        (answer,) = device.take(packet)
        started = time.process_time()
        gsp.datagram(0, answer, device.address)
        spent += time.process_time() - started
    assert gsp.attached == ATTACHES
    return ATTACHES / spent


def _unique_address(n):
    return f"198.{18 + (n >> 16)}.{n >> 8 & 0xFF}.{n & 0xFF}", 1024 + n % 60_000


def measure_memory():
    """Prints octets of resident memory per attached device: the GSP's, and with the inventory's record."""
    inventory = Inventory()
    settings = GspSettings()
    warm = Gsp(settings, inventory, os.urandom)
    attached_devices(warm, inventory, 100, ("198.51.100.7", 1))
    gc.collect()
    start = _resident()
    for n in range(MEMORY_DEVICES):
        inventory.provision(b"d%06d.devices.example.net" % n, os.urandom(16))
    provisioned = _resident()
    gsp = Gsp(settings, inventory, os.urandom)
    for n in range(MEMORY_DEVICES):
        device_id = b"d%06d.devices.example.net" % n
        ip, port = _unique_address(n)
        device = Device(device_id, inventory[device_id].psk, (str(ip), port), seed=n)
        exchange(gsp, device, attach(gsp, device, n), n)
        drain(gsp)
        gsp.timeout(n)
    assert gsp.attached == MEMORY_DEVICES
    gc.collect()
    end = _resident()
    print(f"{(end - provisioned) / MEMORY_DEVICES:.0f} {(end - start) / MEMORY_DEVICES:.0f}")


def _resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report_throughput(name, measure, packet):
    wall, cpu = asyncio.run(measure())
    echo_wall, echo_cpu = asyncio.run(measure_echo(packet))
    print(
        f"{name}: {wall:,.0f}/s, {cpu:,.0f} per CPU second; bare echo {echo_wall:,.0f}/s, {echo_cpu:,.0f};"
        f" ratio {wall / echo_wall:.2f} ({cpu / echo_cpu:.2f} by CPU time), target >= 0.50"
    )


def main(names):
    answer = encode(PT_U_ALIVE, ((PL_NOTIFY, build_notify(NOTIFY_OK)),), flags=FL_RESPONSE)
    for name in names or ("alive", "relay", "attach", "memory"):
        if name == "alive":
            report_throughput("alive exchanges", measure_alive, answer)
        elif name == "relay":
            packet = Client(b"\x11" * 4, bytes(96)).data(bytes(60))
            report_throughput(f"relayed packets of {len(packet)} octets", measure_relay, packet)
        elif name == "attach":
            print(f"attach: {measure_attach():,.0f} a second of CPU time, target >= 1,500")
        elif name == "memory":
            command = [sys.executable, __file__, "measure-memory"]
            own, both = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"memory per attached device: {own} octets, {both} with its inventory record, target <= 1,536")


if __name__ == "__main__":
    if sys.argv[1:] == ["generate"]:
        generate()
    elif sys.argv[1:] == ["measure-memory"]:
        measure_memory()
    else:
        main(sys.argv[1:])
