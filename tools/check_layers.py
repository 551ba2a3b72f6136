"""Check who imports whom (design, section 2): data flows one way, and machines do no I/O.

Layer 0 `homeport_core` imports itself alone; layer 1, the machines, may use the core, machines and pure standard
library; adapters and roots may use anything below. Firmware never imports host code, and host code never the
device stack. Run without arguments; prints each offence and exits 1 when there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPURE = {
    "asyncio", "socket", "ssl", "time", "random", "os", "select", "threading", "logging", "subprocess", "signal",
    "secrets", "urllib", "http", "sqlite3", "sqlalchemy", "OpenSSL", "wsproto", "starlette", "uvicorn",
    "prometheus_client", "typer", "rich",
}  # fmt: skip
CORE_BACKENDS = {"cryptolib", "hashlib", "hmac", "cryptography"}

# Everything not named here is a machine. An adapter touches the world; a root wires adapters together.
DEVICE_ADAPTERS = {"port_", "device", "load", "run", "logger", "store"}
HOST_MACHINES = {
    "basestation": {
        "controller", "gsp", "attach", "registry", "alive", "connect", "relay", "probe", "limits", "wheel", "events",
        "devices", "gate_session", "counters",
    },
    "client": {
        "session", "paths", "requests", "keepalive", "probe", "events", "frames", "interface", "query", "builtin",
        "rendezvous", "psk", "local",
    },
}  # fmt: skip


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
            elif node.module:
                yield node.lineno, node.module
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def offences() -> Iterator[str]:
    """One line for each import that the layers forbid."""
    for path in sorted((ROOT / "firmware/homeport_core").glob("*.py")):
        allowed = CORE_BACKENDS if path.stem.startswith("backend_") else set()
        for line, name in imports(path):
            top = name.partition(".")[0]
            if top not in {"homeport_core", "struct", "collections", "micropython", "sys"} | allowed:
                yield f"{path.relative_to(ROOT)}:{line}: the core imports {name}"
    for path in sorted((ROOT / "firmware").rglob("*.py")):
        if "homeport_core" in path.parts or "build" in path.parts:
            continue
        machine = path.parent.name == "homeport_device" and not any(path.stem.startswith(x) for x in DEVICE_ADAPTERS)
        for line, name in imports(path):
            top = name.partition(".")[0]
            if top == "homeport":
                yield f"{path.relative_to(ROOT)}:{line}: firmware imports host code ({name})"
            elif machine and top in IMPURE:
                yield f"{path.relative_to(ROOT)}:{line}: a machine imports {name}"
    for path in sorted((ROOT / "host/src").rglob("*.py")):
        machine = path.stem in HOST_MACHINES.get(path.parent.name, set())
        for line, name in imports(path):
            top = name.partition(".")[0]
            if name.startswith("."):
                yield f"{path.relative_to(ROOT)}:{line}: relative import; name the package"
            elif top == "homeport_device":
                yield f"{path.relative_to(ROOT)}:{line}: host code imports the device stack"
            elif machine and top in IMPURE:
                yield f"{path.relative_to(ROOT)}:{line}: a machine imports {name}"


def main() -> int:
    found = list(offences())
    print("\n".join(found) or "layers: no import goes the wrong way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
