"""The basestation as one process: controller, session server, gate and admin port around one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from homeport.basestation.admin import Admin, Figures
from homeport.basestation.carrier import GATE, TCP
from homeport.basestation.config import Config
from homeport.basestation.controller import Controller
from homeport.basestation.directory import Directory, load_gate_pem
from homeport.basestation.events import Event
from homeport.basestation.gate.admission import Gate
from homeport.basestation.gate.tls import server_context
from homeport.basestation.gateway.listener import Gateway
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import ControllerSettings, GspSettings
from homeport.basestation.inventory.archive import Archive
from homeport.basestation.inventory.roster import Roster
from homeport.basestation.log import JsonLog, LibraryLog
from homeport.basestation.notices import Notices
from homeport.basestation.switchboard import GspSwitchboard, reached_at
from homeport.basestation.udp import UdpEndpoint, monotonic_ms
from homeport.errors import ConfigError
from homeport.fingerprint import format_fingerprint
from homeport.tcp import listen
from homeport.wire import Address, address_text, endpoint, socket_address

_EXCHANGE_S = 1.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a started basestation listens, and the pin of its gate."""

    controller: Address
    gsp: Address
    gateway: Address
    gate: Address
    admin: Address
    pin: bytes

    def document(self) -> dict[str, str | int]:
        """For the log and for scripts."""
        roles = ("controller", "gsp", "gateway", "gate", "admin")
        addresses = {role: address_text(getattr(self, role)) for role in roles}
        return {**addresses, "pin": format_fingerprint(self.pin), "pid": os.getpid()}


class Basestation:
    """Build it inside a running event loop; `start`, then `stop` once, even if `start` has failed half-way."""

    def __init__(self, directory: Directory, config: Config, log: JsonLog) -> None:
        self._directory = directory
        self._config = config
        self._log = log
        self._closing = contextlib.AsyncExitStack()
        self._started_ms = monotonic_ms()
        self._roster = Roster()

    async def start(self) -> Ready:
        """Open everything; raise ConfigError or StorageError, naming what is not usable and what to do."""
        config, directory = self._config, self._directory
        public = await _resolve(config.public)
        key, chain = load_gate_pem(directory.gate_pem)
        self._gsp = Gsp(GspSettings(), self._roster, os.urandom)
        self._gsp_udp = UdpEndpoint(self._gsp, self._event)
        self._archive = Archive(directory, self._roster, self._revoke)
        self._closing.push_async_callback(self._archive.close)
        rows, damaged = await self._archive.load()

        gsp = _naming("gsp", lambda: self._gsp_udp.open(config.gsp))
        self._closing.callback(self._gsp_udp.close)
        named = endpoint((public or gsp[0], gsp[1]))
        settings = ControllerSettings((named,))
        self._controller = Controller(settings, self._roster, reached_at, self._gsp.answer_probe)
        self._controller_udp = UdpEndpoint(self._controller, self._event)
        controller = _naming("controller", lambda: self._controller_udp.open(config.controller))
        self._closing.callback(self._controller_udp.close)

        also = endpoint((public or controller[0], controller[1]))
        switchboard = GspSwitchboard(self._gsp, self._gsp_udp, named, also)
        self._gate = Gate(server_context(key, chain), switchboard, monotonic_ms, os.urandom, self._log)
        self._gsp_udp.carriers[GATE] = self._gate.send_datagram
        doorway = _naming("gateway", lambda: listen(config.gateway_or_default))
        self._closing.callback(doorway.close)
        self._gateway = Gateway(self._controller_udp, self._gsp_udp, switchboard, monotonic_ms, self._log)
        self._controller_udp.carriers[TCP] = self._gsp_udp.carriers[TCP] = self._gateway.send
        where = socket_address(doorway.getsockname())
        self._gsp.set_gateway(lambda device: endpoint((public or _named(where[0], device), where[1])))
        self._notices = Notices(self._log, self._archive, self._roster, self._gsp, self._gate, self._gateway)
        self._set_clock()
        restored = self._gsp.restore(monotonic_ms(), rows)
        for device_id in await self._archive.thought_attached():
            if self._gsp.attachment(device_id) is None:
                self._archive.batch.lost(device_id, int(time.time()))
        self._gsp_udp.wake()

        await self._gateway.start(doorway)
        self._closing.push_async_callback(self._gateway.close)
        listener = _naming("gate", lambda: listen(config.gate))
        await self._gate.start(listener)
        self._closing.push_async_callback(self._gate.close)
        admin_listener = _naming("admin", lambda: listen(config.admin))
        admin = Admin(self._figures)
        admin.start(admin_listener)
        self._closing.push_async_callback(admin.close)

        stopping = asyncio.Event()
        exchange = asyncio.create_task(self._exchange_until(stopping))
        self._closing.push_async_callback(lambda: exchange)
        self._closing.callback(stopping.set)
        gateway, gate, admin_ = (socket_address(opened.getsockname()) for opened in (doorway, listener, admin_listener))
        ready = Ready(controller, gsp, gateway, gate, admin_, directory.pin())
        self._log("ready", **ready.document(), devices=len(self._roster), restored=restored, damaged=damaged)
        return ready

    async def stop(self) -> None:
        """Tell clients, close the sockets, and write what has to survive."""
        await self._closing.aclose()
        self._log("stopped")

    def _set_clock(self) -> None:
        self._gsp.set_unix_offset(int(time.time() * 1000) - monotonic_ms())

    def _event(self, event: Event) -> None:
        self._notices(event)

    def _revoke(self, device_id: bytes) -> None:
        record = self._roster.get(device_id)
        reason = "removed" if record is None else "key changed" if record.enabled else "disabled"
        self._log("device_changed", device=device_id.decode(), change=reason)
        self._gsp.revoke(device_id, reason)
        asyncio.get_running_loop().call_soon(self._gsp_udp.wake)

    async def _exchange_until(self, stopping: asyncio.Event) -> None:
        problem = ""
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _EXCHANGE_S)
            self._set_clock()
            await self._archive.exchange()
            if self._archive.problem != problem:
                problem = self._archive.problem
                self._log("database", level="error" if problem else "info", problem=problem)

    def _figures(self) -> Figures:
        return Figures(
            gauges={
                "devices": len(self._roster),
                "attached": self._gsp.attached,
                "attached_over_tcp": self._gsp.attached_over_tcp,
                "handshakes": self._gsp.handshakes,
                "connections": self._gsp.sessions,
                "gate_connections": self._gate.connections,
                "gate_sessions": self._gate.sessions,
                "gateway_connections": self._gateway.connections,
                "uptime_s": (monotonic_ms() - self._started_ms) // 1000,
            },
            counters={
                "controller": dataclasses.asdict(self._controller.counters),
                "gsp": dataclasses.asdict(self._gsp.counters),
                "gate": dict(self._gate.counters),
                "gateway": dict(self._gateway.counters),
                "socket_errors": {"controller": self._controller_udp.socket_errors, "gsp": self._gsp_udp.socket_errors},
                "reports_suppressed": {"gsp": self._gsp.suppressed_reports},
            },
            problems={"database": self._archive.problem} if self._archive.problem else {},
        )


async def run(directory: Directory, config: Config, log: JsonLog, on_ready: Callable[[Ready], None]) -> None:
    """Run a basestation until SIGINT or SIGTERM. Raises ConfigError or StorageError when it cannot start."""
    directory.check()
    loop = asyncio.get_running_loop()
    logging.basicConfig(handlers=[LibraryLog(log)], force=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with directory.locked():
        basestation = Basestation(directory, config, log)
        try:
            on_ready(await basestation.start())
            await stop.wait()
        finally:
            await basestation.stop()


async def _resolve(public: str | None) -> str | None:
    """The IPv4 address of a name."""
    if public is None:
        return None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(public, None, family=socket.AF_INET)
    except (OSError, UnicodeError):
        raise ConfigError(
            f"public: '{public}' has no IPv4 address; check the name, or give the address itself"
        ) from None
    return str(found[0][4][0])


def _named(address: str, peer: str) -> str:
    """What a peer on IPv4 calls this machine where it listens at `address`."""
    return reached_at(peer) if address == "0.0.0.0" or ":" in address else address


def _naming(option: str, open_: Callable[[], _T]) -> _T:
    """Add to an error which option changes the address."""
    remedy = f"choose another with --{option} HOST:PORT, or '{option}' in basestation.toml"
    try:
        return open_()
    except ConfigError as error:
        raise ConfigError(f"{error}; {remedy}") from None
