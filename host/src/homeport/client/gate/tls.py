"""The client's side of the gate's TLS: our certificate, and whom we talk to (docs/gate.md)."""

from __future__ import annotations

import hmac
import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from homeport.client.profile import Profile
from homeport.errors import GateError
from homeport.fingerprint import fingerprint_of, format_fingerprint


def client_context(profile: Profile) -> ssl.SSLContext:
    """A context that presents the profile's certificate; with a pin, `check_pin` decides instead of a CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if profile.pin is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_default_certs()
    # The ssl module reads files only. The key rests there for an instant, under a password that nobody else has.
    password = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="homeport-") as directory:
        path = Path(directory) / "client.pem"
        key = profile.private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
        path.touch(mode=0o600)
        path.write_bytes(key + profile.certificate_pem)
        context.load_cert_chain(path, password=password)
    return context


def check_pin(ssl_object: ssl.SSLObject, pin: bytes) -> None:
    """Compare the server's key with the pin of the profile. Raises GateError."""
    der = ssl_object.getpeercert(binary_form=True)
    try:
        found = fingerprint_of(x509.load_der_x509_certificate(der or b"").public_key())
    except ValueError:
        raise GateError("the basestation's certificate is not readable", "tls") from None
    if not hmac.compare_digest(found, pin):
        raise GateError(
            f"wrong basestation: its fingerprint is {format_fingerprint(found)}, the profile's pin is "
            f"{format_fingerprint(pin)}",
            "pin",
            "if the basestation was set up anew, create a profile with the new pin; else somebody is in between",
        )
