"""`make run`, for real: it does what the README says, again and again, and leaves nothing running."""

import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from processes import HOMEPORT, RUN_TIMEOUT_S, Ports, environment, wait_for_line

REPOSITORY = Path(__file__).parents[2]


class Demo:
    """A run of the demo in a directory of its own."""

    def __init__(self, root, ports):
        self.root = root
        options = [text for name, port in vars(ports).items() for text in (f"--{name}-port", str(port))]
        self.process = subprocess.Popen(
            [HOMEPORT, "demo", str(root), *options],
            cwd=root.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def story(self):
        """Everything up to where it stays up."""
        return wait_for_line(self.process, "acl demo list\n")

    def stop(self, number):
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=RUN_TIMEOUT_S)
        assert output.decode().strip() == "stopped"
        return self.process.returncode


def running_below(root):
    """The processes whose command line names the demo's directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(root).encode() in line:
                found.append(line)
    return found


def suggested(story):
    """The commands that it suggests to paste."""
    return [line.strip() for line in story.splitlines() if line.startswith("  ")]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "var"


def test_it_shows_all_three_paths_and_is_still_paired_when_run_again(root):
    ports = Ports()
    with Demo(root, ports) as demo:
        first = demo.story()
        assert demo.stop(signal.SIGINT) == 0
    assert running_below(root) == []
    for step in ("discovery +local", "pairing +local +paired as owner", "read back +direct", "read back +relay"):
        assert re.search(rf"^{step}.*\(\d+ ms\)$", first, re.MULTILINE), step

    with Demo(root, ports) as demo:
        second = demo.story()
        assert demo.stop(signal.SIGTERM) == 0
    assert re.search("pairing +local +still paired as owner", second)
    assert "found keys, certificate and database" in second
    assert fingerprint(first) == fingerprint(second)
    assert running_below(root) == []


def fingerprint(story):
    return re.search("fingerprint ([0-9a-f:]{47})", story).group(1)


def test_what_it_writes_back_is_what_it_reads(root):
    with Demo(root, Ports()) as demo:
        story = demo.story()
        demo.stop(signal.SIGINT)
    for path in ("direct", "relay"):
        written = re.search(rf"write +{path} +target (\d+) °C", story).group(1)
        assert re.search(rf"read back +{path} +target {written} °C", story)


def test_the_suggested_commands_work_when_pasted(root):
    with Demo(root, Ports()) as demo:
        commands = suggested(demo.story())
        assert len(commands) == 3
        for command in commands:
            subprocess.run(shlex.split(command), cwd=root.parent, env=environment(), check=True, timeout=RUN_TIMEOUT_S)
        demo.stop(signal.SIGINT)


@pytest.mark.parametrize("name", ["controller", "gsp", "gate", "admin", "local"])
def test_a_taken_port_ends_it_with_one_line_that_names_the_port(root, name):
    ports = Ports()
    kind = socket.SOCK_STREAM if name in ("gate", "admin") else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", getattr(ports, name)))
        with Demo(root, ports) as demo:
            output, _ = demo.process.communicate(timeout=RUN_TIMEOUT_S)
    assert demo.process.returncode == 3
    last_line = output.decode().splitlines()[-1]
    assert last_line.startswith("error: ")
    assert re.search(rf"\b{getattr(ports, name)}\b", last_line)
    assert running_below(root) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_in_the_middle_leaves_nothing_running(root, number):
    with Demo(root, Ports()) as demo:
        wait_for_line(demo.process, "attached to the basestation")
        demo.process.send_signal(number)
        demo.process.communicate(timeout=RUN_TIMEOUT_S)
        assert demo.process.returncode == 0
    assert running_below(root) == []


def test_a_part_that_dies_ends_it_with_one_line(root):
    with Demo(root, Ports()) as demo:
        demo.story()
        (device,) = [line for line in children_of(demo.process.pid) if b"heat_pump" in line[1]]
        os.kill(device[0], signal.SIGKILL)
        output, _ = demo.process.communicate(timeout=RUN_TIMEOUT_S)
    assert demo.process.returncode == 3
    assert "error: the device ended with code -9" in output.decode()
    assert running_below(root) == []


def children_of(pid):
    """(pid, command line) of the processes that `pid` has started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append((int(entry.name), (entry / "cmdline").read_bytes()))
        except OSError:
            continue
    return found


def test_make_run_is_the_demo():
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(r"^run: install\n\t\$\(BIN\)/homeport demo$", makefile, re.MULTILINE)
