"""A simulated board as a process that starts again when it resets: its console, its air, its set-up page."""

import contextlib
import html
import http.client
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from device_process import command, environment
from homeport_core import provisioning, record
from homeport_device.hardware_unix import RESET_EXIT_CODE, Hardware
from homeport_device.provisioned import open_store
from processes import free_port

PATIENCE_S = 20
HOME = {"ssid": "home", "password": "password1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def store_of(folder):
    """The records of a board that does not run."""
    return open_store(Hardware(None, str(folder)))


def provision(folder, secrets=None, **config):
    """Write what a board's maker gives it: `secrets` (id, key) and `config`."""
    store = store_of(folder)
    if secrets:
        provisioning.check_secrets(secrets)
        store.write(record.SECRETS, provisioning.dump(secrets))
    if config:
        provisioning.check_config(config)
        store.write(record.CONFIG, provisioning.dump(config))


class LivingBoard:
    """The board in `folder`, running `app`; `lines` is its console, over all starts."""

    def __init__(self, folder, app="light", runtime="micropython", options=()):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.setup_port = free_port()
        self.local_port = free_port()
        self.lines = []
        self.process = None
        self.location = None
        where = ["--board", folder, "--setup-port", self.setup_port, "--local-port", self.local_port]
        self._command = [*command(runtime, app), *map(str, where), *map(str, options)]
        self._changed = threading.Condition()
        self._stopping = False

    def start(self):
        """Power on."""
        self._stopping = False
        self.process = subprocess.Popen(
            self._command,
            env=environment() | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        return self

    def cut_power(self):
        """Nothing of it runs on."""
        self._stopping = True
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def air(self, *networks):
        """What is in the air from now on."""
        path = self.folder / "air.json"
        path.with_suffix(".new").write_text(json.dumps(networks))
        path.with_suffix(".new").replace(path)

    def wait_for(self, words, after=0):
        """Wait for a line with these words, past the first `after` lines; returns the number of lines up to it."""

        def found():
            return next((n for n, line in enumerate(self.lines[after:], after + 1) if words in line), 0)

        with self._changed:
            self._changed.wait_for(found, PATIENCE_S)
            assert found(), f"no {words!r} after {after} in {self.lines}"
            return found()

    def page(self):
        """The set-up page as text; None when there is none."""
        try:
            return self.request("GET", "/")[1]
        except OSError:
            return None

    def enter(self, ssid, password, token=None):
        """Fill in the page's form; returns the status."""
        token = token or re.search(r'name="token" value="(\w+)"', self.page())[1]
        form = urllib.parse.urlencode({"token": token, "ssid": ssid, "password": password})
        return self.request("POST", "/", form)[0]

    def request(self, method, path, body=None, host=None):
        """One request to the set-up page: status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.setup_port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, (FORM if body else {}) | ({"Host": host} if host else {}))
            answer = connection.getresponse()
            self.location = answer.getheader("Location")
            return answer.status, html.unescape(answer.read().decode())

    def wait_for_page(self, words):
        """Wait until the page says this."""
        give_up_at = time.monotonic() + PATIENCE_S
        while words not in (self.page() or ""):
            assert time.monotonic() < give_up_at, f"no {words!r} in {self.page()}"
            time.sleep(0.05)

    def _read(self, process):
        for line in process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        if process.wait() == RESET_EXIT_CODE and not self._stopping:
            self.start()


@contextlib.contextmanager
def board(folder, **arguments):
    """A board with power, for the time of the context."""
    process = LivingBoard(folder, **arguments)
    try:
        yield process.start()
    finally:
        process.cut_power()


def damage(folder, offset, length):
    """Rot: other octets in a board's flash."""
    with (Path(folder) / "flash.img").open("r+b") as file:
        file.seek(offset)
        file.write(os.urandom(length))
