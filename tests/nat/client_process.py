"""A client as a process that is told what to do: JSON objects, a line each, on standard input; the answer to each on
standard output.

    {"do": "connect", "device": ID, "path": "auto", "as": NAME}   {"path", "ms"}       opens a connection
    {"do": "call", "on": NAME, "query": …, "params": {…}}         {"result", "path", "ms"}
                                                                  with "retry" and "timeout_ms" as in Device.call_with
    {"do": "measure", "device": ID, "path": "auto", "direct_ms": N, "as": NAME}
                                                                  {"path", "first_ms", "direct_ms", "last_path"}
                                                                  connects, calls, waits for a direct path, calls again
    {"do": "again", "on": NAME, "direct_ms": N}                   likewise, on an open connection
    {"do": "flow", "on": NAME, "for_ms": N}                       {"calls", "wrong", "slowest_ms", "paths"}
                                                                  calls, one after the other
    {"do": "remote", "on": NAME, "enabled": true}                 {"remote"}           the device's master switch
    {"do": "close", "on": NAME}                                   {}
    {"do": "introduce", "device": ID}                             {"nat"}              what the gate says of a device
    {"do": "discover"}                                            {"devices": {ID: "host:port"}}

Commands run at the same time; the answer repeats the command's "id". A command that failed answers {"error", "type"}.
"""

import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from homeport import wire
from homeport.client.client import Client
from homeport.client.device import Device
from homeport.client.gate.link import GateLink
from homeport.client.profile import Profile
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import Interface
from homeport.client.session.paths import PathKind
from homeport.errors import HomeportError
from homeport.gate_messages import Refused
from homeport_core.spec import NAT_UNKNOWN

_POLL_S = 0.02


class Told:
    """What the commands act on."""

    def __init__(self, profile: Profile, client: Client, interface: Interface) -> None:
        self._profile = profile
        self._client = client
        self._interface = interface
        self._devices: dict[str, Device] = {}

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        """Open a connection under a name."""
        device = await self._client.connect(command["device"], command["path"], interface=self._interface)
        self._devices[command["as"]] = device
        return {"path": str(device.path)}

    async def call(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run a query on an open connection."""
        device = self._devices[command["on"]]
        options = {name: command[name] for name in ("retry", "timeout_ms") if name in command}
        result = await device.call_with(command["query"], command["params"], **options)
        return {"result": result, "path": str(device.path)}

    async def measure(self, command: dict[str, Any]) -> dict[str, Any]:
        """Time from the start to the first answer, and to a direct path if there is one within `direct_ms`."""
        started = asyncio.get_running_loop().time()
        await self.connect(command)
        return await self._measure(started, command["as"], command["direct_ms"])

    async def again(self, command: dict[str, Any]) -> dict[str, Any]:
        """The same for a connection that is open."""
        return await self._measure(asyncio.get_running_loop().time(), command["on"], command["direct_ms"])

    async def _measure(self, started: float, name: str, direct_ms: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        query = {"on": name, "query": "light_read.json", "params": {"light_id": 9}, "timeout_ms": 20_000}
        first = await self.call(query)
        measured = {"path": first["path"], "first_ms": round((loop.time() - started) * 1000), "direct_ms": None}
        device = self._devices[name]
        while loop.time() - started < direct_ms / 1000:
            if device.path in (PathKind.LOCAL, PathKind.DIRECT):
                measured["direct_ms"] = round((loop.time() - started) * 1000)
                break
            await asyncio.sleep(_POLL_S)
        return measured | {"last_path": (await self.call(query))["path"]}

    async def flow(self, command: dict[str, Any]) -> dict[str, Any]:
        """Switch a lamp to and fro, a call after the other, for `for_ms`: each path and how it went."""
        loop = asyncio.get_running_loop()
        end = loop.time() + command["for_ms"] / 1000
        paths: list[str] = []
        calls = wrong = slowest_ms = 0
        while loop.time() < end:
            started = loop.time()
            on = calls % 2
            params = {"light_id": 1, "light_on": on}
            answer = await self.call({"on": command["on"], "query": "light_write.json", "params": params})
            calls += 1
            wrong += answer["result"] != {"light_state": on}
            slowest_ms = max(slowest_ms, round((loop.time() - started) * 1000))
            if paths[-1:] != [answer["path"]]:
                paths.append(answer["path"])
            await asyncio.sleep(_POLL_S)
        return {"calls": calls, "wrong": wrong, "slowest_ms": slowest_ms, "paths": paths}

    async def remote(self, command: dict[str, Any]) -> dict[str, Any]:
        """Move the master switch."""
        settings = await self._devices[command["on"]].change_settings(remote=command["enabled"])
        return {"remote": settings.remote}

    async def close(self, command: dict[str, Any]) -> dict[str, Any]:
        """Close a connection."""
        await self._devices.pop(command["on"]).close()
        return {}

    async def introduce(self, command: dict[str, Any]) -> dict[str, Any]:
        """Ask the gate for a device, but do not connect to it."""
        link = GateLink(self._profile)
        try:
            answer = await link.connect(command["device"], None, None, NAT_UNKNOWN, False)
        finally:
            await link.close()
        if isinstance(answer, Refused):
            return {"error": answer.reason, "type": answer.name}
        return {"nat": answer.device_nat}

    async def discover(self, command: dict[str, Any]) -> dict[str, Any]:
        """Look for devices on the LAN."""
        found = await self._client.discover()
        return {"devices": {one.device_id: wire.address_text(wire.address(one.endpoint)) for one in found}}


async def _obey(told: Told, command: dict[str, Any]) -> None:
    started = time.monotonic()
    try:
        answer = await getattr(told, command["do"])(command)
    except HomeportError as error:
        answer = {"error": str(error), "type": type(error).__name__}
    answer |= {"id": command["id"], "ms": round((time.monotonic() - started) * 1000)}
    print(json.dumps(answer), flush=True)


async def main(home: Path, name: str, interface: Path, gate: str) -> None:
    """Obey until standard input ends."""
    described = Interface.parse(interface.read_bytes()).extended_by(BUILTIN)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    profile = dataclasses.replace(Profile.load(home, name), basestation=gate)
    async with Client(profile, home) as client, asyncio.TaskGroup() as commands:
        told = Told(profile, client, described)
        while line := await lines.readline():
            commands.create_task(_obey(told, json.loads(line)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
