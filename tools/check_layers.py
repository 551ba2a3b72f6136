"""Check who imports whom (design, section 2): data flows one way, and machines do no I/O.

Layer 0, `homeport_core`, imports itself and a little pure standard library. A module of the other packages is a machine
(layer 1) and must do without the modules in IMPURE, unless ADAPTERS names it: those touch the world, and no machine
imports them. Firmware never imports host code, and host code never the device stack. Run without arguments; prints
each offence and exits 1 when there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CORE_MAY = {"binascii", "homeport_core", "json", "struct", "collections", "micropython", "sys"}
CORE_BACKENDS_MAY = {"cryptolib", "hashlib", "hmac", "cryptography", "zlib"}

IMPURE = {
    "asyncio", "http", "httpx", "logging", "machine", "network", "OpenSSL", "os", "prometheus_client", "random",
    "rich", "secrets", "select", "signal", "socket", "sqlalchemy", "sqlite3", "ssl", "starlette", "subprocess",
    "threading", "time", "typer", "urllib", "uvicorn", "wsproto",
}  # fmt: skip

# Adapters and roots, by package. What stands below `cli` are roots all of them.
ADAPTERS = {
    "homeport_device": {"acl_file", "appliance", "device", "file_slots", "flash_unix", "hardware", "hardware_board",
                        "hardware_esp32", "hardware_linux", "hardware_rp2", "hardware_unix", "health", "options",
                        "own_service", "panel", "port", "port_board", "port_cpython", "port_micropython", "port_unix",
                        "provision_serial", "provisioned", "randomness", "serial_cpython", "serial_unix",
                        "setup_server", "stream_device", "tcp_cpython", "tcp_micropython", "watchdog_unix"},
    "homeport": {"files", "tcp"},
    "homeport.basestation": {"admin", "config", "directory", "log", "notices", "server", "switchboard", "udp"},
    "homeport.basestation.gate": {"admission", "link", "tls", "websocket"},
    "homeport.basestation.gateway": {"link", "listener"},
    "homeport.basestation.gsp": set(),
    "homeport.boards": {"descriptors", "drive", "esp32_board", "file_copy", "flashing", "image_folder", "serial_port"},
    "homeport.basestation.inventory": {"archive", "inventory", "records", "roster", "schema", "sealing"},
    "homeport.client": {"acl", "client", "device", "home", "keys", "netcheck", "pairing", "profile", "race", "roaming",
                        "sync"},
    "homeport.client.gate": {"dial", "link", "proxy", "tls", "websocket"},
    "homeport.client.network": {"broadcast", "crowd", "hub", "outbox", "search", "surroundings"},
    "homeport.client.queries": set(),
    "homeport.client.session": set(),
    "homeport.provisioning": {"board", "image", "label", "raw_repl", "serial_line", "users"},
    "homeport.client.streams": {"calls", "forward", "opener", "pump", "standing", "transport"},
}  # fmt: skip


ADAPTER_NAMES = {f"{package}.{name}" for package, names in ADAPTERS.items() for name in names}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def core_offences(path: Path) -> Iterator[tuple[int, str]]:
    allowed = CORE_MAY | (CORE_BACKENDS_MAY if path.stem.startswith("backend_") else set())
    for line, name in imports(path):
        if name.partition(".")[0] not in allowed:
            yield line, f"the core imports {name}"


def offences_of(path: Path, package: str, forbidden: str) -> Iterator[tuple[int, str]]:
    """`forbidden` is the package of the other side."""
    adapters = ADAPTERS.get(package, set())
    is_machine = path.stem not in adapters and package in ADAPTERS and path.stem != "__init__"
    for line, name in imports(path):
        top = name.partition(".")[0]
        if name.startswith("."):
            yield line, "relative import; name the package"
        elif top == forbidden:
            yield line, f"{package} imports {name}, which is the other side"
        elif is_machine and top in IMPURE:
            yield line, f"a machine imports {name}; if it is an adapter, name it in {Path(__file__).name}"
        elif is_machine and name in ADAPTER_NAMES:
            yield line, f"a machine imports the adapter {name}"


def offences() -> Iterator[str]:
    """One line for each import that the layers forbid."""
    for path in sorted((ROOT / "firmware").rglob("*.py")):
        package = path.parent.name
        found = core_offences(path) if package == "homeport_core" else offences_of(path, package, "homeport")
        yield from (f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in found)
    source = ROOT / "host/src"
    for path in sorted(source.rglob("*.py")):
        package = ".".join(path.relative_to(source).parent.parts)
        found = offences_of(path, package, "homeport_device")
        yield from (f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in found)


def main() -> int:
    found = list(offences())
    print("\n".join(found) or "layers: no import goes the wrong way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
