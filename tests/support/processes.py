"""Real processes for tests: the command line, a basestation, a device, on ports that are free."""

import contextlib
import errno
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from homeport.cli.main import app
from typer.testing import CliRunner

HOMEPORT = str(Path(sys.executable).with_name("homeport"))
START_TIMEOUT_S = 30
RUN_TIMEOUT_S = 60
KEY = "000102030405060708090a0b0c0d0e0f"


# Ports are tried in turn, in a part of their own for each of pytest's workers, below those that the system gives to
# outgoing connections: between the choice of a port and its use nothing else takes it.
_FIRST_PORT = 10000
_PORTS_EACH = 2500
_WORKERS = 9
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS
_candidates = (_FIRST_PORT + _worker * _PORTS_EACH + n % _PORTS_EACH for n in itertools.count(os.getpid()))


def free_port():
    """A port that nobody has just now, neither for UDP nor for TCP."""
    for port in itertools.islice(_candidates, _PORTS_EACH):
        with contextlib.ExitStack() as both:
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    both.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return port
    raise AssertionError("no free port")


def environment(**variables):
    """This process's environment without what would change the command line's mind."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOMEPORT_")}
    return clean | {"PYTHONUNBUFFERED": "1"} | variables


def homeport(*arguments, **variables):
    """Run `homeport …` to its end."""
    return subprocess.run(
        [HOMEPORT, *map(str, arguments)],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def answer(*arguments, **variables):
    """Run `homeport --json …`, which must succeed, and return its object."""
    return _object(homeport("--json", *arguments, **variables))


class CommandLine:
    """`homeport --home HOME …` within this process, which spares half a second each time."""

    def __init__(self, home):
        self.home = home

    def run(self, *arguments):
        """Run a command to its end."""
        line = ["--home", str(self.home), *map(str, arguments)]
        result = CliRunner().invoke(app, line, env={"HOMEPORT_PROFILE": None, "HOMEPORT_PASSWORD": None})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return subprocess.CompletedProcess(line, result.exit_code, result.stdout, result.stderr)

    def answer(self, *arguments):
        """Run a command with --json, which must succeed, and return its object."""
        return _object(self.run("--json", *arguments))


def _object(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def only_error_line(done):
    """The one line that a failed command has printed; nothing else, nowhere."""
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@contextlib.contextmanager
def running(*arguments, until, **variables):
    """`homeport …` in the background, once it has printed `until`; ended by SIGINT when the test is done."""
    process = subprocess.Popen(
        [HOMEPORT, *map(str, arguments)],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for_line(process, until)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=RUN_TIMEOUT_S)


def wait_for_line(process, words):
    """Read what `process` prints up to a line with `words`, and return it all."""
    seen = b""
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while words.encode() not in seen:
        assert time.monotonic() < give_up_at, f"no {words!r} in {seen!r}"
        if select.select([process.stdout], [], [], 1)[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            assert chunk, f"ended with {process.wait()}: {seen!r}"
            seen += chunk
    return seen.decode()


@dataclass
class Ports:
    """One free port for each socket of a basestation and a device."""

    controller: int = field(default_factory=free_port)
    gsp: int = field(default_factory=free_port)
    gate: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    local: int = field(default_factory=free_port)

    def listen(self, address="127.0.0.1"):
        """The options of `homeport basestation run`."""
        names = ("controller", "gsp", "gate", "admin")
        return [text for name in names for text in (f"--{name}", f"{address}:{getattr(self, name)}")]


def basestation(root, ports, address="127.0.0.1"):
    """A basestation that runs on `root`."""
    return running("basestation", "run", root, *ports.listen(address), until="basestation ready")


def device(
    ports, state, *options, device_id="demo", app="heat_pump", key=KEY, until="ready", runtime="micropython", label=""
):
    """A device that runs `app`, which gets `options`; `label` is the secret on its label."""
    where = ["--controller", f"127.0.0.1:{ports.controller}", "--local-port", ports.local, "--state", state]
    return running(
        "sim", app, "--id", device_id, *where, "--runtime", runtime, *(("--", *options) if options else ()),
        until=until, HOMEPORT_DEVICE_KEY=key, HOMEPORT_LABEL_SECRET=label,
    )  # fmt: skip
