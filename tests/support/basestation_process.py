"""A basestation in a process of its own, and devices that talk to it over a real socket."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from gsp_peers import Device
from homeport.basestation.directory import Directory
from homeport.basestation.inventory.inventory import Inventory
from homeport.wire import parse_address

HOMEPORT = Path(sys.executable).with_name("homeport")
PATIENCE_S = 20


def homeport(*args):
    """Run a command; returns its result, with text."""
    return subprocess.run([HOMEPORT, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def inventory_of(root):
    """The inventory, as the commands open it."""
    directory = Directory(root)
    inventory = Inventory(directory.database, directory.sealer())
    with contextlib.closing(inventory):
        yield inventory


def homeport_json(*args):
    """Run a command that must succeed; returns the document it printed."""
    result = homeport("--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def until(condition, what):
    """Wait until `condition()` is true; returns its value."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class BasestationProcess:
    """`homeport basestation run` on loopback, on free ports unless given."""

    def __init__(self, root, **options):
        self.root = root
        self._log = open(root / "test.log", "a+")  # noqa: SIM115
        ports = dict.fromkeys(("controller", "gsp", "gate", "admin"), "127.0.0.1:0") | options
        args = [f"--{name}={value}" for name, value in ports.items()]
        self.process = subprocess.Popen(
            [HOMEPORT, "--json", "basestation", "run", str(root), *args],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, self.log()
        self.ready = json.loads(line)

    def address(self, role):
        return parse_address(self.ready[role])

    def log(self):
        return Path(self._log.name).read_text()

    def lines(self, event):
        """Log lines of one kind."""
        return [line for line in map(json.loads, self.log().splitlines()) if line["event"] == event]

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.ready['admin']}{path}", timeout=10) as answer:
            return answer.read().decode()

    def health(self):
        return json.loads(self.get("/healthz"))

    def stop(self):
        """Ask it to stop; returns its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        self._log.close()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


class SocketDevice:
    """A device on a real UDP socket. It sends and takes only what the test tells it to."""

    def __init__(self, device_id, key):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_S)
        self.device = Device(device_id.encode(), key, self.socket.getsockname())

    def receive(self):
        return self.socket.recv(2048)

    def attach(self, gsp):
        """Run the whole attach; returns the first packet after it, the session server's U_ALIVE."""
        self.socket.sendto(self.device.invite(), gsp)
        self.answer(gsp)
        return self.receive()

    def answer(self, gsp):
        """Take one packet and send what the device says to it."""
        for packet in self.device.take(self.receive()):
            self.socket.sendto(packet, gsp)

    def hears_nothing(self, window_s=0.3):
        """Whether nothing arrives for a while."""
        self.socket.settimeout(window_s)
        try:
            self.receive()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE_S)
        return False

    def close(self):
        self.socket.close()
