"""TLS of the gate: clients prove a key of their own making, and nothing else about them is believed.

The standard library's `ssl` cannot accept an unknown self-signed client certificate; pyOpenSSL can, by a verify
callback that agrees to everything. So what the handshake proves is possession of the key alone, and `identify`
checks the certificate afterwards.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from homeport_core.errors import AuthError
from OpenSSL import SSL, crypto

from homeport.fingerprint import fingerprint_of

KEY_BITS_MIN = 2048
KEY_BITS_MAX = 8192  # larger keys only cost us time
CERTIFICATE_MAX = 8192  # bytes of DER
NAME_MAX = 1024  # bytes of DER, subject and issuer each
_CIPHERS_TLS12 = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_RECORD_MAX = 16_384
_OP_NO_RENEGOTIATION = 0x40000000  # OpenSSL's number; not every pyOpenSSL has a name for it


def server_context(key: rsa.RSAPrivateKey, chain: Sequence[x509.Certificate]) -> SSL.Context:
    """A context for the server's side; `chain` begins with the certificate of `key`."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS_TLS12)
    # A resumed session would skip the proof of possession; renegotiation could exchange the client's certificate.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | _OP_NO_RENEGOTIATION)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(chain[0])
    for certificate in chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(key)
    context.check_privatekey()
    return context


class TlsEnd:
    """The server's end of one TLS connection, bytes in and bytes out. Methods raise AuthError and then it is dead."""

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()

    def handshake(self, data: bytes) -> bool:
        """Take bytes of the handshake; True when it is done. Computes RSA: keep it off the event loop."""
        try:
            self._connection.bio_write(data)
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise AuthError(f"TLS handshake failed: {_reason(error)}") from None
        return True

    def certificate(self) -> crypto.X509:
        """What the client presented."""
        certificate = self._connection.get_peer_certificate()
        if certificate is None:
            raise AuthError("no client certificate")
        return certificate

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Take bytes from the network; return the plaintext so far, and whether the client has closed."""
        if data:
            self._connection.bio_write(data)
        plaintext = b""
        try:
            while True:
                plaintext += self._connection.recv(_RECORD_MAX)
        except SSL.WantReadError:
            return plaintext, False
        except SSL.ZeroReturnError:
            return plaintext, True
        except SSL.Error as error:
            raise AuthError(f"TLS failed: {_reason(error)}") from None

    def send(self, plaintext: bytes) -> None:
        """Encrypt; the result is in `outgoing`."""
        view = memoryview(plaintext)
        try:
            while view:
                view = view[self._connection.send(view[:_RECORD_MAX]) :]
        except SSL.Error as error:
            raise AuthError(f"TLS failed: {_reason(error)}") from None

    def close(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise AuthError(f"TLS failed: {_reason(error)}") from None

    def outgoing(self) -> bytes:
        """Take the bytes that have to go to the network."""
        out = b""
        while True:
            try:
                out += self._connection.bio_read(_RECORD_MAX)
            except SSL.WantReadError:
                return out


def identify(certificate: crypto.X509, now: datetime.datetime) -> bytes:
    """Return the fingerprint of a client's key; AuthError, with a reason fit for the client, if not acceptable."""
    der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
    if len(der) > CERTIFICATE_MAX:
        raise AuthError(f"client certificate: larger than {CERTIFICATE_MAX} bytes")
    try:
        parsed = x509.load_der_x509_certificate(der)
        names_len = max(len(name.public_bytes()) for name in (parsed.subject, parsed.issuer))
        not_before, not_after = parsed.not_valid_before_utc, parsed.not_valid_after_utc
        key = parsed.public_key()
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise AuthError("client certificate: cannot be read") from None
    if names_len > NAME_MAX:
        raise AuthError(f"client certificate: a name is longer than {NAME_MAX} bytes")
    if not isinstance(key, rsa.RSAPublicKey) or not KEY_BITS_MIN <= key.key_size <= KEY_BITS_MAX:
        raise AuthError(f"client certificate: expected an RSA key of {KEY_BITS_MIN} to {KEY_BITS_MAX} bits")
    if now < not_before:
        raise AuthError(f"client certificate: not valid before {not_before:%Y-%m-%d %H:%M} UTC; check the clock")
    if now > not_after:
        raise AuthError(f"client certificate: expired {not_after:%Y-%m-%d %H:%M} UTC; create a new profile")
    return fingerprint_of(key)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own word for it; never text of the peer's."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1])
    return "connection cut" if isinstance(error, SSL.SysCallError) else type(error).__name__
