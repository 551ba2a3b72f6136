"""Make what goes onto a board: `make firmware BOARD=… [APP=…] [VARIANT=…] [FIRMWARE=…]`.

Writes build/firmware/BOARD/: the files one by one in `files`, a file system image with them, and, where MicroPython's
own firmware file is given, one image with everything. `homeport flash` writes it. The same sources make the same
octets.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from build_firmware import VARIANTS, build
from homeport.boards import esp32, rp2
from homeport.boards.board import Board
from homeport.boards.descriptors import board_names, load_board, pins_file
from homeport.boards.filesystem import build_filesystem
from homeport.boards.image import FILESYSTEM, MAIN, MICROPYTHON, ROMFS, Image
from homeport.boards.image_folder import MANIFEST, save_image
from homeport.boards.products import products
from homeport.boards.romfs import build_romfs, check_romfs
from homeport.errors import ConfigError, HomeportError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "firmware/examples"
OUT = ROOT / "build/firmware"
FILES = "files"
LIBRARY = "lib"
# Where the code is, in a board's files, that ROMFS has too: the library there would win over that in ROMFS.
SPARE = "mpy"
START = """\
from {app} import device

device.run()
"""
START_IN_PLACE = """\
# The code runs in place where MicroPython has mounted ROMFS, and is copied into memory where it has not.
import sys

if "/rom/lib" not in sys.path:
    sys.path.append("mpy")
"""
FIRMWARE_MAX = 16 * 1024 * 1024
# All that may be in the folder of an image.
OURS = {FILES, MANIFEST, "filesystem.img", "filesystem.uf2", "merged.bin", "merged.uf2", "micropython.bin",
        "micropython.uf2", "records.bin", "romfs.img"}  # fmt: skip


def application(name: str) -> Path:
    """The file of an example, or of an application of one's own. Raises ConfigError."""
    path = Path(name) if name.endswith(".py") else EXAMPLES / f"{name}.py"
    if not path.is_file() or not path.stem.isidentifier():
        examples = ", ".join(sorted(app.stem for app in EXAMPLES.glob("[!_]*.py")))
        raise ConfigError(f"no application {name!r}: expected a file, or one of {examples}")
    return path


def clear(folder: Path) -> None:
    """An empty folder in place of an older image. Raises ConfigError for a folder with something else in it."""
    if folder.exists():
        others = sorted({path.name for path in folder.iterdir()} - OURS)
        if others:
            raise ConfigError(f"{folder} has {others[0]} in it, which is not of an image: not replaced")
        shutil.rmtree(folder)
    (folder / FILES).mkdir(parents=True)


def write_files(folder: Path, board: Board, app: Path, variant: str) -> dict[str, bytes]:
    """Compile the application and the firmware into `folder`; returns all files by their paths on the board."""
    build(folder / (SPARE if board.romfs else LIBRARY), [app], board.name, variant)
    (folder / MAIN).write_text((START_IN_PLACE if board.romfs else "") + START.format(app=app.stem))
    if pins_file(board).is_file():
        shutil.copyfile(pins_file(board), folder / "pins.py")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def code(board: Board, files: dict[str, bytes]) -> dict[str, bytes]:
    """The part of the image from which code runs in place, for boards that have a place for it. Raises ConfigError
    when it does not fit."""
    if board.romfs is None:
        return {}
    modules = {
        f"{LIBRARY}/{path[len(SPARE) + 1 :]}": data for path, data in files.items() if path.startswith(f"{SPARE}/")
    }
    image = build_romfs(modules)
    check_romfs(board, image)
    return {ROMFS: image}


def read_firmware(board: Board, path: Path) -> bytes:
    """MicroPython's own file, checked. Raises ConfigError, OSError."""
    if board.kind is None:
        raise ConfigError(f"board {board.name} has no firmware file of MicroPython's")
    if path.stat().st_size > FIRMWARE_MAX:
        raise ConfigError(f"{path} is larger than any MicroPython")
    data = path.read_bytes()
    check = esp32.take_apart if board.platform == "esp32" else rp2.firmware
    check(board, data, str(path))
    return data


def make(folder: Path, board: Board, app: Path, variant: str, firmware: Path | None) -> Image:
    """Write everything; the manifest last. Raises HomeportError, OSError."""
    given = {} if firmware is None else {MICROPYTHON: read_firmware(board, firmware)}
    clear(folder)
    files = write_files(folder / FILES, board, app, variant)
    parts = {FILESYSTEM: build_filesystem(board, files), **code(board, files), **given}
    image = Image(board, app.stem, variant, parts)
    for name, data in products(image, str(firmware)).items():
        (folder / name).write_bytes(data)
    save_image(folder, image)
    return image


def report(folder: Path, image: Image) -> None:
    """What there is now, and what to do with it."""
    code = sum(path.stat().st_size for path in (folder / FILES).rglob("*.mpy"))
    print(f"{folder}: {image.app} for {image.board.title} ({image.variant})")
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST):
        print(f"  {path.name:<16} {path.stat().st_size:>9}")
    print(f"  {FILES + '/':<16} {code:>9} octets of bytecode")
    if image.board.kind is None:
        print(f"Run it: see boards/{image.board.name}/README.md")
        return
    extra = "" if MICROPYTHON in image.parts else f" --firmware {image.board.micropython}-….{suffix(image.board)}"
    port = "--drive DIR" if image.board.platform == "rp2" else "--port /dev/ttyUSB0"
    print(f"Flash it: homeport flash --board {image.board.name} {port}{extra}")


def suffix(board: Board) -> str:
    return "uf2" if board.platform == "rp2" else "bin"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make firmware", description="Make what goes onto a board.")
    parser.add_argument("board", choices=board_names())
    parser.add_argument("--app", default="sunpi", help="an example, or a file of your own")
    parser.add_argument("--variant", choices=VARIANTS, help="default: what suits the board")
    parser.add_argument("--firmware", type=Path, help="MicroPython's own file for the board (.bin, .uf2)")
    parser.add_argument("--out", type=Path, help="default: build/firmware/BOARD")
    wanted = parser.parse_args()
    try:
        board = load_board(wanted.board)
        if board.filesystem is None:
            print(
                f"{board.name} runs the firmware as it is, there is nothing to make: see boards/{board.name}/README.md"
            )
            return 0
        folder = wanted.out or OUT / board.name
        image = make(folder, board, application(wanted.app), wanted.variant or board.variant, wanted.firmware)
    except (HomeportError, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        print(f"error: {reason}", file=sys.stderr)
        return 1
    report(folder, image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
