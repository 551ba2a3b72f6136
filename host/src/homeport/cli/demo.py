"""`make run`: the whole system on this machine, each step shown with the way it went and the time it took.

A basestation and the heat pump firmware run as processes of their own, this process is the client, and everything
they keep is below one directory. What is there from an earlier run is used again: keys, certificate, pairing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from homeport_core.spec import PORT_CONTROLLER, PORT_LOCAL, PSK_LEN

from homeport import wire
from homeport.basestation.directory import Directory
from homeport.basestation.inventory.inventory import Inventory, parse_device_key
from homeport.cli import firmware
from homeport.cli.children import Child
from homeport.cli.context import ask_label_secret
from homeport.client.client import Client
from homeport.client.home import cache_interface
from homeport.client.keys import Psk
from homeport.client.pairing import pair
from homeport.client.profile import GATE_PORT, Profile, list_profiles
from homeport.client.queries.interface import MAX_XML_LEN
from homeport.errors import ConfigError, DeviceOffline, HomeportError, NotPaired, Timeout
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.fingerprint import format_fingerprint

DEVICE_ID = "demo"
EXAMPLE = "heat_pump"
PROFILE = "demo"
HOST = "127.0.0.1"
START_TIMEOUT_S = 30
_TEMPERATURES = range(18, 26)


@dataclass(frozen=True)
class Demo:
    """Where it lives and which ports it takes."""

    root: Path
    controller_port: int
    gsp_port: int
    gate_port: int
    admin_port: int
    local_port: int

    @property
    def home(self) -> Path:
        """The client's home."""
        return self.root / "client"

    @property
    def device_state(self) -> Path:
        return self.root / "devices" / DEVICE_ID


class Story:
    """Says what happened, how, and how long it took since the last line."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def tell(self, what: str, how: str, text: str) -> None:
        now = time.monotonic()
        print(f"{what:<12} {how:<7} {text} ({(now - self._since) * 1000:.0f} ms)", flush=True)
        self._since = time.monotonic()


async def run(demo: Demo) -> None:
    """Play the demo, then stay until cancelled; raise HomeportError when a step fails."""
    print(f"Homeport on this machine, everything below {demo.root}. Ctrl-C stops it.")
    print("If a port is taken, choose others: homeport demo --help\n", flush=True)
    story = Story()
    async with contextlib.AsyncExitStack() as stack:
        directory = Directory(demo.root)
        made = directory.initialise()
        story.tell("basestation", "", f"{'created' if made else 'found'} keys, certificate and database")
        key = _provision(demo, directory, story)
        basestation = await stack.enter_async_context(_basestation(demo, story))
        device = await stack.enter_async_context(_device(demo, key, story))
        profile = _profile(demo, story)
        await _keep_interface(demo)
        async with Client(profile, demo.home, search=[(HOST, demo.local_port)]) as client:
            await _pair(client, demo, story)
            for path, words in (("direct", "peer to peer"), ("relay", "relayed")):
                await _visit(client, path, words, story)
        _suggest(demo)
        await asyncio.gather(basestation.watch(), device.watch())


@contextlib.asynccontextmanager
async def _basestation(demo: Demo, story: Story) -> AsyncIterator[Child]:
    listen = {
        "--controller": demo.controller_port,
        "--gsp": demo.gsp_port,
        "--gate": demo.gate_port,
        "--admin": demo.admin_port,
    }
    command = [sys.executable, "-m", "homeport", "basestation", "run", str(demo.root)]
    for option, port in listen.items():
        command += [option, f"{HOST}:{port}"]
    child = Child("basestation", command, {}, demo.root / "basestation.log")
    try:
        await child.wait_for("basestation ready", START_TIMEOUT_S)
        story.tell("basestation", "", f"running: controller UDP {demo.controller_port}, GSP UDP {demo.gsp_port}, "
                   f"gate TCP {demo.gate_port}")  # fmt: skip
        yield child
    finally:
        child.stop()


@contextlib.asynccontextmanager
async def _device(demo: Demo, key: str, story: Story) -> AsyncIterator[Child]:
    runtime = firmware.choose_runtime(None)
    controller = f"{HOST}:{demo.controller_port}"
    label = _label(demo).key.hex()
    device = firmware.Device(DEVICE_ID, key, demo.device_state, controller, demo.local_port, label)
    child = Child(
        "device",
        firmware.command(EXAMPLE, runtime, device.arguments()),
        firmware.runtime_environment(runtime) | device.environment(),
        demo.root / "device.log",
    )
    try:
        await child.wait_for("ready local-port", START_TIMEOUT_S)
        story.tell("device", "", f"{EXAMPLE} firmware started on {runtime.value}")
        try:
            await child.wait_for("attached to", START_TIMEOUT_S)
        except Timeout as error:
            next_step = f"see 'homeport device show {DEVICE_ID} --dir {demo.root}', or remove {demo.root} to start anew"
            reason = "the device does not attach: somebody disabled it, or switched its remote access off"
            raise DeviceOffline(reason, next_step=next_step) from error
        story.tell("device", "", "attached to the basestation")
        yield child
    finally:
        child.stop()


def _provision(demo: Demo, directory: Directory, story: Story) -> str:
    """Make the device known to the basestation, by the key it has or a new one; return the key in hex."""
    make_private_directory(demo.device_state)
    key_file = demo.device_state / "key"
    key = parse_device_key(read_bounded(key_file, 64).decode().strip()) if key_file.exists() else None
    inventory = Inventory(directory.database, directory.sealer())
    try:
        known = any(device.id == DEVICE_ID for device in inventory.list())
        if key is None or not known:
            key = inventory.rotate_key(DEVICE_ID, key) if known else inventory.add(DEVICE_ID, key)
    finally:
        inventory.close()
    write_private(key_file, key.hex().encode() + b"\n")
    story.tell("device", "", f"{DEVICE_ID!r} {'is known, with its key' if known else 'provisioned'}")
    return key.hex()


def _label(demo: Demo) -> Psk:
    """The secret on the device's label, made up with the device."""
    file = demo.device_state / "label"
    if not file.exists():
        write_private(file, secrets.token_hex(PSK_LEN).encode() + b"\n")
    return ask_label_secret(file)


def _profile(demo: Demo, story: Story) -> Profile:
    gate, pin = f"{HOST}:{demo.gate_port}", Directory(demo.root).pin()
    if PROFILE in list_profiles(demo.home):
        profile = Profile.load(demo.home, PROFILE)
        if (profile.basestation, profile.pin) != (gate, pin):
            raise ConfigError(
                f"profile {PROFILE!r} in {demo.home} is for another basestation ({profile.basestation}): "
                f"use its ports again, or remove {demo.root} to start anew"
            )
        verb = "found"
    else:
        profile, verb = Profile.create(demo.home, PROFILE, None, gate, pin), "created"
    story.tell("client", "", f"{verb} profile {PROFILE!r}, fingerprint {format_fingerprint(profile.fingerprint)}")
    return profile


async def _keep_interface(demo: Demo) -> None:
    """Have the firmware print its queries and keep them, so that calls by name need no file."""
    runtime = firmware.choose_runtime(None)
    output = demo.root / "interface.xml"
    child = Child(
        "interface", firmware.command(EXAMPLE, runtime, ["--interface"]), firmware.runtime_environment(runtime), output
    )
    await child.wait_for("</unabto_queries>", START_TIMEOUT_S)
    cache_interface(demo.home, DEVICE_ID, read_bounded(output, MAX_XML_LEN))
    child.stop()


async def _pair(client: Client, demo: Demo, story: Story) -> None:
    found = await client.discover(DEVICE_ID)
    if not found:
        raise DeviceOffline(f"nobody answers to {DEVICE_ID!r} on the local network")
    address = wire.address_text(wire.address(found[0].endpoint))
    story.tell("discovery", "local", f"{DEVICE_ID!r} answers at {address}")
    target, name = f"{DEVICE_ID}@{address}", client.profile.name
    try:
        pairing = await pair(client, target, name, _label(demo))
    except NotPaired:
        pairing = await pair(client, target, name)  # paired when the device had no label yet
    paired = "still paired" if pairing.was_known else "paired"
    role = "owner" if pairing.user.is_owner else "guest"
    privacy = "end to end: the basestation cannot read along" if pairing.end_to_end else "without end-to-end key"
    story.tell("pairing", "local", f"{paired} as {role}, {privacy}")


async def _visit(client: Client, path: str, words: str, story: Story) -> None:
    """Connect through the basestation, read the state, change the target temperature and read it back."""
    async with await client.connect(DEVICE_ID, path) as device:
        story.tell("connect", str(device.path), f"introduced by the basestation, {words}")
        state = await device.call("heatpump_get_full_state")
        target = state["target_temperature"]
        story.tell("read", str(device.path), f"room {state['room_temperature']} °C, target {target} °C")
        wanted = target + 1 if target + 1 in _TEMPERATURES else _TEMPERATURES.start
        await device.call("heatpump_set_target_temperature", temperature=wanted)
        story.tell("write", str(device.path), f"target {wanted} °C")
        state = await device.call("heatpump_get_full_state")
        if state["target_temperature"] != wanted:
            raise HomeportError(f"the heat pump kept a target of {state['target_temperature']} °C instead of {wanted}")
        story.tell("read back", str(device.path), f"target {state['target_temperature']} °C")


def _suggest(demo: Demo) -> None:
    program = Path(sys.executable).with_name("homeport")
    prefix = f"{shlex.quote(_shown(program))} --home {shlex.quote(_shown(demo.home))}"
    print("\nIt stays up until Ctrl-C. In another terminal, in this directory:\n")
    print(f"  {prefix} call {DEVICE_ID} heatpump_get_full_state")
    print(f"  {prefix} call {DEVICE_ID} heatpump_set_target_temperature temperature=21 --path relay")
    print(f"  {prefix} acl {DEVICE_ID} list\n", flush=True)


def _shown(path: Path) -> str:
    """Return a path that works from here, as short as it gets."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


app = typer.Typer(rich_markup_mode=None, add_completion=False)

Port = Annotated[int, typer.Option(min=1, max=65535)]


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where everything is kept.")] = Path("var"),
    controller_port: Port = PORT_CONTROLLER,
    gsp_port: Port = 5565,
    gate_port: Port = GATE_PORT,
    admin_port: Port = 5580,
    local_port: Port = PORT_LOCAL,
) -> None:
    """Run the whole system on this machine, show what it does, and stay up until Ctrl-C."""
    setting = Demo(directory, controller_port, gsp_port, gate_port, admin_port, local_port)

    async def until_signalled() -> None:
        task = asyncio.ensure_future(run(setting))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_signalled())
    print("\nstopped", flush=True)
