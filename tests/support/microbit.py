"""An emulated micro:bit: real MicroPython machine code on a Cortex-M0 with 16 KB of RAM, run by QEMU.

Debian's image is MicroPython 1.9.2 with 9 KB of heap. It has no `.mpy` files, no memoryview, no annotations of
attributes and no assignment to slices, so no module of ours can be imported as it is. `pieces` takes the firmware's
own modules through the build for boards (`tools/bundle.py`), writes those two things in another way, and cuts the
result into functions, which are compiled there one at a time.
"""

import ast
import fcntl
import shutil
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from bundle import Program  # noqa: E402

IMAGE = Path("/usr/share/firmware-microbit-micropython/firmware.hex")
QEMU = "qemu-system-arm"
TIMEOUT_S = 60
# The board's serial driver has room for 64 octets and loses what comes faster than it reads.
CHUNK_LEN = 16
PAUSE_S = 0.001
PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


def obstacle() -> str:
    """What is missing to emulate one; empty when nothing is."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed (Debian: qemu-system-arm)"
    return "" if IMAGE.exists() else f"no {IMAGE} (Debian: firmware-microbit-micropython)"


class BoardError(Exception):
    """The board printed a traceback: its text."""


class MicroBit:
    """One board, at its raw REPL."""

    def __init__(self) -> None:
        self._serial, theirs = socket.socketpair()
        self._serial.settimeout(TIMEOUT_S)
        self._received = b""
        self._process = subprocess.Popen(
            [
                QEMU, "-M", "microbit", "-device", f"loader,file={IMAGE}", "-display", "none", "-monitor", "none",
                "-chardev", f"socket,id=serial,fd={theirs.fileno()}", "-serial", "chardev:serial",
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._until(b">>> ")
        self._serial.sendall(b"\x03\x01")
        self._until(PROMPT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._serial.close()

    def run(self, source: str) -> str:
        """Run a piece of source and return what it printed. Raises BoardError with the board's traceback.

        Memory is collected first: the parser wants more in one piece than is left otherwise.
        """
        self._run("import gc\ngc.collect()")
        return self._run(source)

    def _run(self, source: str) -> str:
        octets = source.encode()
        for off in range(0, len(octets), CHUNK_LEN):
            self._serial.sendall(octets[off : off + CHUNK_LEN])
            while self._unread_len():
                time.sleep(PAUSE_S)
        self._serial.sendall(b"\x04")
        self._until(b"OK")
        printed, error = self._until(b"\x04"), self._until(b"\x04>")
        if error:
            raise BoardError(error.decode())
        return printed.decode()

    def _unread_len(self) -> int:
        """How much the emulator has not read yet: as much as the processor, which may be slow, has no room for."""
        return struct.unpack("i", fcntl.ioctl(self._serial, termios.TIOCOUTQ, bytes(4)))[0]

    def _until(self, words: bytes) -> bytes:
        while words not in self._received:
            chunk = self._serial.recv(4096)
            assert chunk, f"the emulator ended: {self._received!r}"
            self._received += chunk
        before, _, self._received = self._received.partition(words)
        return before


def pieces(names: tuple[str, ...], wanted: set[str], unused: set[str] = frozenset()) -> list[str]:
    """The parts of these modules that `wanted` names need, as sources that are small enough to compile there.

    Methods named in `unused` stay behind.
    """
    files = {name: ROOT / "firmware" / f"{name.replace('.', '/')}.py" for name in names}
    program = Program({name: file.read_text() for name, file in files.items()})
    joined = program.join("bundle", names)
    program.name_all()
    tree = Plain().visit(program.bundle(joined, wanted))
    found: list[str] = []
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            body = statement.body
            statement.body = [part for part in body if not is_separable(part)] or [ast.Pass()]
            found.append(ast.unparse(statement))
            for method in filter(is_separable, body):
                name, method.name = method.name, "method"
                if name not in unused:
                    found.append(f"{ast.unparse(method)}\n{statement.name}.{name} = method")
        else:
            found.append(ast.unparse(statement))
    # A large function needs much room to be compiled: while there is most.
    return sorted(found, key=lambda piece: -len(piece) if piece.startswith("def ") and "= method" not in piece else 0)


def is_separable(part: ast.stmt) -> bool:
    """Whether this is a method that means the same outside its class."""
    return isinstance(part, ast.FunctionDef) and "super()" not in ast.unparse(part)


# What an assignment to a slice becomes; never longer or shorter than what was there.
PUT = """
def put(octets, start, values):
    at = start
    for value in values:
        octets[at] = value
        at += 1
"""


class Plain(ast.NodeTransformer):
    """Leaves out docstrings and the types of attributes; `octets[a:b] = values` becomes `put(octets, a, values)`."""

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        target = node.targets[0]
        if not isinstance(target, ast.Subscript) or not isinstance(target.slice, ast.Slice):
            return node
        start = target.slice.lower or ast.Constant(0)
        target.value.ctx = ast.Load()
        return ast.Expr(ast.Call(ast.Name("put", ast.Load()), [target.value, start, node.value], []))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        return (
            None if node.value is None else ast.fix_missing_locations(ast.Assign([node.target], node.value, lineno=0))
        )

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        return None if isinstance(node.value, ast.Constant) else node
