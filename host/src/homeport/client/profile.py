"""Profiles: a client's identity, as an RSA key with a self-signed certificate, and the basestation it uses.

    HOME/profiles/NAME/key.pem            private key, PKCS #8, encrypted when the profile has a password
    HOME/profiles/NAME/certificate.pem    self-signed X.509 certificate
    HOME/profiles/NAME/keys/              keys that devices have, too: see `keys`
    HOME/profiles/NAME/profile.json       {"version": 1, "basestation": "host:port" | null, "pin": "aa:bb:…" | null,
                                           "require_end_to_end": true | false}

Directories have mode 0700, files 0600. A profile appears by one rename of a complete directory, so there is
never half of one.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeport.client.keys import DeviceKeys, keyed_devices
from homeport.errors import ConfigError, StorageError
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.fingerprint import fingerprint_of, format_fingerprint, parse_fingerprint
from homeport.wire import address_text, parse_address

MIN_KEY_BITS = 2048
MAX_KEY_BITS = 8192  # more only stalls the handshake
GATE_PORT = 5568

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,58}")  # a longer client id would not fit every device (core 5.2)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_MAX_FILE_LEN = 64 * 1024
_MAX_PASSWORD_LEN = 1023  # what the PKCS #8 encryption of OpenSSL accepts
_VALID_FOR = datetime.timedelta(days=20 * 365)
_CLOCK_SKEW = datetime.timedelta(days=1)  # devices and basestations may run on slow clocks
_FORMAT_VERSION = 1
_KEYS = "keys"

Password = str | Callable[[], str] | None


@dataclass(frozen=True)
class Settings:
    """What a profile's settings file says: the gate's address and pin, and what is demanded of all connections."""

    basestation: str | None = None
    pin: bytes | None = None
    require_end_to_end: bool = False


@dataclass(frozen=True, eq=False)
class Profile:
    """An opened profile.

    `password` arguments are a text, a function that is asked only if the key turns out to be encrypted, or None.
    """

    name: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    basestation: str | None = None
    pin: bytes | None = None
    require_end_to_end: bool = False  # of all connections
    directory: Path | None = field(default=None, repr=False)  # None: it is in memory only

    @cached_property
    def keys(self) -> DeviceKeys:
        """The end-to-end keys that this client has in common with devices."""
        return DeviceKeys(None if self.directory is None else self.directory / _KEYS, self.private_key)

    @property
    def fingerprint(self) -> bytes:
        """The 16 bytes by which devices and basestations know this client."""
        return fingerprint_of(self.private_key.public_key())

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def basestation_address(self) -> tuple[str, int]:
        """Host and port of the gate; raise ConfigError when the profile names none."""
        if self.basestation is None:
            raise ConfigError(f"profile {self.name!r} names no basestation: create it with --basestation HOST:PORT")
        return split_address(self.basestation, GATE_PORT)

    @classmethod
    def create(
        cls,
        home: Path,
        name: str,
        password: str | None = None,
        basestation: str | None = None,
        pin: bytes | str | None = None,
        key_bits: int = MIN_KEY_BITS,
        require_end_to_end: bool = False,
    ) -> Self:
        """Make a key and a certificate and keep them as HOME/profiles/NAME; raise ConfigError or StorageError."""
        check_name(name)
        if not MIN_KEY_BITS <= key_bits <= MAX_KEY_BITS:
            raise ConfigError(f"RSA key of {key_bits} bits: expected {MIN_KEY_BITS} to {MAX_KEY_BITS}")
        encryption = _encryption(password)
        if basestation is not None:
            host, port = split_address(basestation, GATE_PORT)
            basestation = address_text((host, port))
        if isinstance(pin, str):
            pin = parse_fingerprint(pin)
        directory = _directory(home, name)
        if directory.exists():
            raise ConfigError(f"profile {name!r} exists already: choose another name, or remove it first")
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=key_bits)
        certificate = _self_signed(private_key, name)
        profile = cls(name, private_key, certificate, basestation, pin, require_end_to_end, directory)
        profile._store(directory, encryption)
        return profile

    @classmethod
    def load(cls, home: Path, name: str, password: Password = None) -> Self:
        """Open HOME/profiles/NAME; raise ConfigError (no such profile, password) or StorageError (unreadable)."""
        check_name(name)
        directory = _directory(home, name)
        if not directory.is_dir():
            raise ConfigError(f"no profile {name!r} in {home}: create it with 'homeport profile create {name}'")
        settings = read_settings(directory / "profile.json")
        certificate = _load_certificate(directory / "certificate.pem")
        private_key = _load_key(directory / "key.pem", name, password)
        if fingerprint_of(private_key.public_key()) != _certificate_fingerprint(certificate):
            raise StorageError(f"profile {name!r} is damaged: its key and certificate do not belong together")
        return cls(
            name,
            private_key,
            certificate,
            settings.basestation,
            settings.pin,
            settings.require_end_to_end,
            directory,
        )

    def _store(self, directory: Path, encryption: KeySerializationEncryption) -> None:
        make_private_directory(directory.parent)
        settings = {
            "version": _FORMAT_VERSION,
            "basestation": self.basestation,
            "pin": format_fingerprint(self.pin) if self.pin else None,
            "require_end_to_end": self.require_end_to_end,
        }
        staging = None
        try:
            staging = Path(tempfile.mkdtemp(prefix=".new-", dir=directory.parent))
            write_private(staging / "key.pem", _key_pem(self.private_key, encryption))
            write_private(staging / "certificate.pem", self.certificate_pem)
            write_private(staging / "profile.json", json.dumps(settings, indent=2).encode() + b"\n")
            os.rename(staging, directory)
        except OSError as error:
            raise StorageError(f"cannot create {directory}: {error.strerror}") from error
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)


@dataclass(frozen=True)
class ProfileSummary:
    """What can be told about a profile without its password."""

    name: str
    fingerprint: bytes
    settings: Settings
    encrypted: bool
    keyed_devices: list[str]  # the devices that there is an end-to-end key for


def describe_profile(home: Path, name: str) -> ProfileSummary:
    """Read a profile's public part; raise ConfigError or StorageError."""
    check_name(name)
    directory = _directory(home, name)
    if not directory.is_dir():
        raise ConfigError(f"no profile {name!r} in {home}: create it with 'homeport profile create {name}'")
    settings = read_settings(directory / "profile.json")
    certificate = _load_certificate(directory / "certificate.pem")
    encrypted = b"ENCRYPTED PRIVATE KEY" in read_bounded(directory / "key.pem", _MAX_FILE_LEN)
    keyed = keyed_devices(directory / _KEYS)
    return ProfileSummary(name, _certificate_fingerprint(certificate), settings, encrypted, keyed)


def list_profiles(home: Path) -> list[str]:
    """Return the names of the profiles in `home`, sorted."""
    directory = home / "profiles"
    try:
        return sorted(entry.name for entry in directory.iterdir() if _NAME.fullmatch(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {directory}: {error.strerror}") from error


def remove_profile(home: Path, name: str) -> None:
    """Delete a profile and its key for good; raise ConfigError when there is none, StorageError."""
    check_name(name)
    directory = _directory(home, name)
    if not directory.is_dir():
        raise ConfigError(f"no profile {name!r} in {home}")
    doomed = directory.with_name(f".removed-{name}-{os.getpid()}")
    try:
        os.rename(directory, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise StorageError(f"cannot remove {directory}: {error.strerror}") from error


def check_name(name: str) -> None:
    """Raise ConfigError unless `name` can be a profile's name, a file name and a client id at once."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"not a profile name: {name[:64]!r}; expected 1 to 59 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """Split 'HOST' or 'HOST:PORT', where HOST is a name, an IPv4 address or '[IPV6]'; raise ConfigError."""
    try:
        host, port = parse_address(text, default_port)
    except ValueError:
        host, port = "", 0
    # What has a colon is an IPv6 address, or there would be no result.
    if not (":" in host or _HOST.fullmatch(host)) or port == 0:
        raise ConfigError(
            f"not an address: {text[:80]!r}; expected HOST:PORT with a port of 1 to 65535, and IPv6 in brackets"
        )
    return host, port


def _directory(home: Path, name: str) -> Path:
    return home / "profiles" / name


def _encryption(password: str | None) -> KeySerializationEncryption:
    if password is None:
        return NoEncryption()
    encoded = password.encode()
    if not 0 < len(encoded) <= _MAX_PASSWORD_LEN:
        raise ConfigError(f"password of {len(encoded)} bytes: expected 1 to {_MAX_PASSWORD_LEN}, or --no-password")
    return BestAvailableEncryption(encoded)


def _key_pem(private_key: rsa.RSAPrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _self_signed(private_key: rsa.RSAPrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(private_key, hashes.SHA256())
    )


def read_settings(path: Path) -> Settings:
    """What a profile's settings file says. Raises StorageError."""
    try:
        settings = json.loads(read_bounded(path, _MAX_FILE_LEN))
    except ValueError as error:
        raise StorageError(f"{path} is damaged: not JSON") from error
    if not isinstance(settings, dict) or settings.get("version") != _FORMAT_VERSION:
        raise StorageError(f"{path} is damaged or from another version: expected version {_FORMAT_VERSION}")
    basestation, pin = settings.get("basestation"), settings.get("pin")
    require_end_to_end = settings.get("require_end_to_end", False)
    if not (isinstance(basestation, str | None) and isinstance(pin, str | None)):
        raise StorageError(f"{path} is damaged: basestation and pin must be texts or null")
    if not isinstance(require_end_to_end, bool):
        raise StorageError(f"{path} is damaged: require_end_to_end must be true or false")
    try:
        if basestation is not None:
            split_address(basestation, GATE_PORT)
        return Settings(basestation, parse_fingerprint(pin) if pin else None, require_end_to_end)
    except ConfigError as error:
        raise StorageError(f"{path} is damaged: {error}") from error


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_bounded(path, _MAX_FILE_LEN))
    except ValueError as error:
        raise StorageError(f"{path} is damaged: not a PEM certificate") from error


def _certificate_fingerprint(certificate: x509.Certificate) -> bytes:
    return fingerprint_of(certificate.public_key())


def _load_key(path: Path, name: str, password: Password) -> rsa.RSAPrivateKey:
    pem = read_bounded(path, _MAX_FILE_LEN)
    secret = None
    if b"ENCRYPTED PRIVATE KEY" in pem:
        secret = password() if callable(password) else password
        if not secret:
            raise ConfigError(f"profile {name!r} has a password: it is needed to open the key")
    try:
        key = load_pem_private_key(pem, secret.encode() if secret else None)
    except ValueError as error:
        if secret:
            raise ConfigError(f"wrong password for profile {name!r}, or its key file is damaged") from error
        raise StorageError(f"{path} is damaged: not a PEM private key") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise StorageError(f"{path}: expected an RSA key of {MIN_KEY_BITS} bits or more")
    return key
