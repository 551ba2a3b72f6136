"""The board's side of provisioning over its serial line: what `homeport provision` calls at the prompt.

    call("facts")                 what this board is, and how its records are
    call("put", kind, hex)        more octets of a record, kept in memory
    call("commit", digests)       all of them are complete (SHA-256 by kind): check them, then write them
    call("send", kind)            the octets of a list of users, as hex
    call("restart")               begin a new life

Each prints one line: `homeport-provision ` and a JSON object, with `error` when it was refused. Nothing is written
before `commit`, and nothing at all when anything is missing or wrong; each record is then the old or the new one. The
watchdog starts a board again that is left alone at the prompt.
"""

import gc
import hashlib
import json
import sys

from homeport_core import __version__
from homeport_core.errors import ConfigError, HomeportError
from homeport_core.provisioning import check_config, check_secrets, load
from homeport_core.record import CONFIG, FACTORY, KINDS, SECRETS, USERS, check_length

MARK = "homeport-provision "
# The watchdog of a running device goes on at the prompt, and is shorter nowhere (`appliance`).
_PATIENCE_MS = 8000
_CHUNK_LEN = 256
# Who the device is comes last: until then a board that loses power is what it was.
_ORDER = (FACTORY, USERS, CONFIG, SECRETS)

_agents = []


class Agent:
    """One conversation. `store` is the board's RecordStore."""

    def __init__(self, hardware: object, store: object) -> None:
        self.dog = hardware.watchdog(_PATIENCE_MS)
        self._hardware = hardware
        self._store = store
        self._pieces = {}

    def facts(self) -> dict:
        """What this board is. A record is missing, damaged, or its SHA-256; and how often it was written."""
        records = {}
        for kind in KINDS:
            records[kind] = self._state(kind)
        return {
            "version": __version__,
            "platform": self._hardware.name,
            "machine": getattr(sys.implementation, "_machine", sys.platform),
            "number": self._hardware.unique_id().hex(),
            "id": self._id(),
            "records": records,
        }

    def put(self, kind: str, digits: str) -> dict:
        """Keep more octets of a record."""
        if kind not in KINDS:
            raise ConfigError("there is no record " + kind)
        pieces = self._pieces.setdefault(kind, [])
        pieces.append(bytes.fromhex(digits))
        check_length(kind, sum(len(piece) for piece in pieces))
        return {}

    def commit(self, digests: dict) -> dict:
        """Check all that was put, then write it."""
        if set(digests) != set(self._pieces):
            raise ConfigError("a record got lost on its way")
        for kind, digest in digests.items():
            self._check(kind, digest)
        for kind in _ORDER:
            if kind in digests:
                self._write(kind, self._pieces.pop(kind))
                if self.dog is not None:
                    self.dog.feed()
        return {}

    def send(self, kind: str) -> dict:
        """A list of users. Other records hold secrets and stay here."""
        if kind not in (USERS, FACTORY):
            raise ConfigError("the record %s stays in the board" % kind)
        payload = self._store.read(kind)
        return {"octets": None if payload is None else payload.hex()}

    def restart(self) -> dict:
        """Does not return."""
        return self._hardware.reset()

    def _check(self, kind: str, expected: str) -> None:
        digest = hashlib.sha256()
        for piece in self._pieces[kind]:
            digest.update(piece)
        if digest.digest().hex() != expected:
            raise ConfigError("the record %s was damaged on its way" % kind)
        if kind in (SECRETS, CONFIG):
            (check_secrets if kind == SECRETS else check_config)(load(b"".join(self._pieces[kind])))

    def _write(self, kind: str, pieces: list) -> None:
        """A full list of users in one piece would be more than a used heap may have in a row."""
        same = self._store.comparison(kind)
        for piece in pieces:
            same.write(piece)
        if same.close():
            return
        writer = self._store.begin(kind, sum(len(piece) for piece in pieces))
        for piece in pieces:
            writer.write(piece)
        writer.commit()

    def _state(self, kind: str) -> list:
        try:
            reader = self._store.open(kind)
            if reader is None:
                return ["missing", 0]
            digest = hashlib.sha256()
            while reader.left:
                digest.update(reader.read(_CHUNK_LEN))
            reader.close()
            return [digest.digest().hex(), self._store.writes(kind)]
        except HomeportError:
            return ["damaged", self._store.writes(kind)]

    def _id(self) -> str | None:
        try:
            payload = self._store.read(SECRETS)
            return None if payload is None else load(payload)["id"]
        except (HomeportError, KeyError):
            return None


def call(name: str, *arguments: object) -> None:
    """One step, by the name of the Agent's method."""
    gc.collect()  # or what is kept for long would lie scattered over the heap
    try:
        if not _agents:
            _agents.append(_begin())
        answer = getattr(_agents[0], name)(*arguments)
        if _agents[0].dog is not None:
            _agents[0].dog.feed()
    except (HomeportError, OSError, MemoryError, ValueError) as error:
        answer = {"error": str(error) or type(error).__name__}
    print(MARK + json.dumps(answer))


def _begin() -> Agent:
    """As `hardware.Hardware` and `provisioned.open_store`, which would load most of the firmware."""
    from homeport_device.file_slots import FileSlots
    from homeport_device.flash_slots import FlashSlots
    from homeport_device.record_store import RecordStore

    hardware = _hardware()
    region = hardware.region("homeport")
    return Agent(hardware, RecordStore(FlashSlots(region) if region else FileSlots(hardware.state_dir)))


def _hardware() -> object:
    if sys.platform == "esp32":
        from homeport_device.hardware_esp32 import Hardware

        return Hardware({})
    if sys.platform == "rp2":
        from homeport_device.hardware_rp2 import Hardware

        return Hardware({})
    from homeport_device.hardware_unix import Hardware

    return Hardware({}, sys.argv[sys.argv.index("--board") + 1] if "--board" in sys.argv else "")
