"""The real parts as processes in a world: one basestation, any number of devices and clients.

All devices know the one profile of the clients as their owner, as after a pairing at home.
"""

import contextlib
import itertools
import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from homeport.basestation.directory import Directory
from homeport.basestation.inventory.inventory import Inventory
from homeport.client.keys import Psk
from homeport.client.profile import Profile
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from nat_world import SERVER, World
from netns import Node, stop, wait_until

_ROOT = Path(__file__).resolve().parents[2]
_BIN = Path(sys.executable).parent
_FIRMWARE = _ROOT / "firmware"
CONTROLLER_PORT = 5566
GSP_PORT = 5565
GATE_PORT = 5568
_OWNER = 0xE0000000
_ANSWER_S = 30
_SETTLE_MS = 5_000
_DEVICE_IDS = tuple(f"light-{number}" for number in range(48))


class Parts:
    """Makes basestation, devices and clients of a world; everything is kept under `directory`."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self._station = directory / "basestation"
        files = Directory(self._station)
        files.initialise()
        # All at once and beforehand: a running basestation takes up to a second to notice a new device.
        with contextlib.closing(Inventory(files.database, files.sealer())) as inventory:
            self._keys = iter([(device_id, inventory.add(device_id)) for device_id in _DEVICE_IDS])
        self.profile = Profile.create(directory, "me", None, f"{SERVER}:{GATE_PORT}", files.pin())
        self.interface = directory / "light.xml"
        self.interface.write_bytes(_firmware_interface("light"))
        self.basestation: subprocess.Popen[bytes] | None = None

    def start_basestation(self, *options: str) -> None:
        """Start it on the server and wait until it is open."""
        self.basestation = self.world.server.start(
            str(_BIN / "homeport"), "--json", "basestation", "run", str(self._station), *options,
            log=self.directory / "basestation.log", stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.basestation.stdout is not None
        assert self.basestation.stdout.readline(), (self.directory / "basestation.log").read_text()

    def stop_basestation(self) -> None:
        """End it."""
        assert self.basestation is not None
        stop(self.basestation)

    def device(
        self,
        node: Node,
        *options: str,
        app: str = "light",
        system: int = _OWNER,
        by_name: bool = False,
        psk: Psk | None = None,
    ) -> "DeviceProcess":
        """Start an example on Unix MicroPython as one of the registered devices.

        `system` are its permissions; `by_name` has it look its id up to find the controller; `psk` is the owner's
        end-to-end key.
        """
        device_id, key = next(self._keys)
        if psk is not None:
            self.profile.keys.settle(device_id, psk)
        state = self.directory / device_id
        state.mkdir()
        acl = Acl(AclFile(str(state / "acl.bin")), (system, 0x80000000, _OWNER))
        acl.load()
        acl.add(self.profile.fingerprint, b"me", *((psk.key_id, psk.key) if psk is not None else ()))
        controller = () if by_name else ("--controller", f"{SERVER}:{CONTROLLER_PORT}")
        return DeviceProcess(device_id, key, node, state, app, (*controller, *options))

    def homeport(self, node: Node, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a `homeport` command answers there, with the clients' profile, before it exits with `code`."""
        answer: dict[str, Any] = json.loads(node.run(*self._command(), *arguments, code=code))
        return answer

    def start_homeport(self, node: Node, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start such a command, with its output on a pipe."""
        return node.start(
            *self._command(), *arguments, log=self.directory / "homeport.log", stdout=subprocess.PIPE, bufsize=0
        )

    def _command(self) -> tuple[str, ...]:
        return (str(_BIN / "homeport"), "--home", str(self.directory), "--profile", self.profile.name, "--json")

    def client(self, node: Node, gate: str = f"{SERVER}:{GATE_PORT}", **variables: str) -> "ClientProcess":
        """Start a client, which knows the gate by that address, with `variables` in its environment."""
        return ClientProcess(self, node, gate, variables)


class DeviceProcess:
    """An example's firmware."""

    def __init__(self, device_id: str, key: bytes, node: Node, state: Path, app: str, options: tuple[str, ...]) -> None:
        self.id = device_id
        self.log = state / "log"
        self.process = node.start(
            str(_BIN / "micropython"), str(_FIRMWARE / "examples" / f"{app}.py"),
            "--id", device_id, "--state", str(state), *options,
            log=self.log,
            env={**os.environ, "MICROPYPATH": f"{_FIRMWARE}:.frozen", "HOMEPORT_DEVICE_KEY": key.hex()},
        )  # fmt: skip

    def close(self) -> None:
        """End it."""
        stop(self.process)

    def said(self, text: str) -> int:
        """How often the device has said `text`."""
        return len(re.findall(re.escape(text), self.log.read_text()))

    def wait_for(self, text: str, times: int = 1, seconds: float = 10) -> None:
        """Wait until it has said `text` so often."""
        wait_until(
            lambda: self.said(text) >= times, f"{self.id} says {text!r}; it said {self.log.read_text()}", seconds
        )

    def wait_until_attached(self, times: int = 1, seconds: float = 10) -> None:
        """Wait until it is registered."""
        self.wait_for("homeport: attached to", times, seconds)


class ClientProcess:
    """`client_process.py`; `tell` starts a command, `answer` waits for what came of it."""

    def __init__(self, parts: Parts, node: Node, gate: str, variables: dict[str, str]) -> None:
        self._ids = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._log = parts.directory / f"client-{id(self)}.log"
        self.process = node.start(
            sys.executable, str(Path(__file__).with_name("client_process.py")),
            str(parts.directory), parts.profile.name, str(parts.interface), gate,
            log=self._log, env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def tell(self, do: str, **command: Any) -> int:
        """Give a command; returns the number that `answer` takes."""
        number = next(self._ids)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "id": number, **command}).encode() + b"\n")
        self.process.stdin.flush()
        return number

    def answer(self, number: int) -> dict[str, Any]:
        """Wait for the answer to a command."""
        assert self.process.stdout is not None
        while number not in self._answers:
            readable = select.select([self.process.stdout], [], [], _ANSWER_S)[0]
            line = self.process.stdout.readline() if readable else b""
            assert line, f"the client ended or hangs: {self._log.read_text()}"
            answer = json.loads(line)
            self._answers[answer["id"]] = answer
        return self._answers.pop(number)

    def ask(self, do: str, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        return self.answer(self.tell(do, **command))

    def tell_to_connect(self, device: DeviceProcess, path: str = "auto") -> int:
        """Begin to connect; the connection has the device's id for a name."""
        return self.tell("connect", device=device.id, path=path, **{"as": device.id})

    def connect(self, device: DeviceProcess, path: str = "auto") -> dict[str, Any]:
        """Connect, and wait for what came of it."""
        return self.answer(self.tell_to_connect(device, path))

    def settle(self, device: DeviceProcess) -> str:
        """Wait for the best path of an open connection; returns its kind."""
        path: str = self.ask("again", on=device.id, direct_ms=_SETTLE_MS)["last_path"]
        return path

    def connect_and_settle(self, device: DeviceProcess) -> str:
        """Connect, and wait for the best path there is; returns its kind."""
        connected = self.connect(device)
        assert "path" in connected, connected
        return self.settle(device)

    def switch(self, device: DeviceProcess, on: int) -> dict[str, Any]:
        """Call `light_write` on the connection."""
        return self.ask("call", on=device.id, query="light_write.json", params={"light_id": 1, "light_on": on})

    def close(self) -> None:
        """End it."""
        stop(self.process)


def _firmware_interface(app: str) -> bytes:
    return subprocess.run(
        (_BIN / "homeport", "interface", app), capture_output=True, check=True, timeout=_ANSWER_S
    ).stdout
