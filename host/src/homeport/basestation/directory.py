"""The basestation's directory: what is in it, how it comes into being, and that only one basestation runs on it."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from homeport.basestation import config
from homeport.basestation.inventory import schema, sealing
from homeport.errors import StorageError
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.fingerprint import fingerprint_of

GATE_KEY_BITS = 3072  # pinned by clients, so meant to last for as long as the basestation
_VALID_DAYS = 20 * 365
_PEM_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Directory:
    """Names of the files below `root`."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "basestation.toml"

    @property
    def database(self) -> Path:
        return self.root / "basestation.db"

    @property
    def master_key(self) -> Path:
        return self.root / "master.key"

    @property
    def gate_pem(self) -> Path:
        return self.root / "gate.pem"

    @property
    def lock(self) -> Path:
        return self.root / "basestation.lock"

    def initialise(self) -> bool:
        """Create what is missing; False if nothing was. Never replaces a file. Raises StorageError.

        Each file appears complete or not at all, so after a power cut one simply does it again.
        """
        if self.database.exists() and not self.master_key.exists():
            raise StorageError(
                f"{self.database} exists but {self.master_key} does not: its secrets cannot be opened; "
                "restore the key from a backup, or move the database away"
            )
        make_private_directory(self.root)
        if all(path.exists() for path in self._files()):
            return False
        with self.locked():  # against a second `init` at the same time
            for path in self._files():
                if path.exists():
                    continue
                if path == self.database:
                    _create_database(path)
                else:
                    write_private(path, _CONTENT[path.name]())
        return True

    def check(self) -> None:
        """Raise StorageError, with what to do, unless all files are here."""
        for path in self._files():
            if not path.exists():
                raise StorageError(
                    f"no basestation in {self.root}: {path.name} is missing; run: homeport basestation init {self.root}"
                )

    def _files(self) -> tuple[Path, ...]:
        return (self.master_key, self.gate_pem, self.settings, self.database)

    def sealer(self) -> sealing.Sealer:
        """The master key, ready for use; StorageError if missing, malformed or open to others."""
        return sealing.read_master_key(self.master_key)

    def pin(self) -> bytes:
        """Fingerprint of the gate's certificate; StorageError."""
        pem = read_bounded(self.gate_pem, _PEM_MAX)
        try:
            return fingerprint_of(x509.load_pem_x509_certificate(pem).public_key())
        except ValueError:
            raise StorageError(f"{self.gate_pem}: expected a PEM certificate") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; StorageError if another basestation runs on it."""
        with self._open_lock() as file:
            if not _try_lock(file.fileno()):
                raise StorageError(f"another basestation is running on {self.root}; stop it first")
            yield

    def running(self) -> bool:
        """Whether a basestation runs on this directory just now."""
        if not self.lock.exists():
            return False
        with self._open_lock() as file:
            return not _try_lock(file.fileno())

    def _open_lock(self) -> TextIO:
        try:
            return open(self.lock, "a", encoding="ascii")
        except OSError as error:
            raise StorageError(f"cannot write in {self.root}: {error.strerror}") from error


def _try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False if another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _create_database(path: Path) -> None:
    """Create the database under another name first: half of one must never be found under its own."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        schema.create_database(temporary)
        with schema.storage_errors(path):
            os.replace(temporary, path)
    finally:
        for suffix in ("", "-wal", "-shm"):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _new_master_key() -> bytes:
    return os.urandom(sealing.MASTER_KEY_LEN).hex().encode() + b"\n"


def _new_gate_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=GATE_KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + _certificate(key)


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    """A self-signed certificate; clients pin its key and believe nothing else in it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "homeport gate")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # for clients whose clock is behind
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def load_gate_pem(path: Path) -> tuple[rsa.RSAPrivateKey, list[x509.Certificate]]:
    """Read the gate's private key and certificate chain (own first); raise StorageError."""
    sealing.check_private(path)
    pem = read_bounded(path, _PEM_MAX)
    try:
        key = load_pem_private_key(pem, password=None)
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, TypeError):
        raise StorageError(f"{path}: expected an unencrypted PEM private key and its certificate") from None
    if not isinstance(key, rsa.RSAPrivateKey) or chain[0].public_key() != key.public_key():
        raise StorageError(f"{path}: expected an RSA key and a certificate of that key")
    return key, chain


_CONTENT: dict[str, Callable[[], bytes]] = {
    "master.key": _new_master_key,
    "gate.pem": _new_gate_pem,
    "basestation.toml": config.TEMPLATE.encode,
}
