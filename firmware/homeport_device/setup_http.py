"""As much HTTP as one page needs: requests of browsers in, bounded; one response out, and the connection ends.

A request has a head of at most 2 KB, its first line at most 512 octets of that, and a form of at most 512 octets.
"""

from homeport_core.compat import const
from homeport_core.errors import MalformedError

HEAD_MAX = const(2048)
LINE_MAX = const(512)
BODY_MAX = const(512)
_FIELDS_MAX = const(8)

# What `Request.feed` returns.
MORE = const(0)
COMPLETE = const(200)
BAD = const(400)
NO_LENGTH = const(411)
BODY_TOO_LONG = const(413)
LINE_TOO_LONG = const(414)
HEAD_TOO_LONG = const(431)
NOT_IMPLEMENTED = const(501)

# Other statuses of responses.
FOUND = const(302)
SEE_OTHER = const(303)
FORBIDDEN = const(403)
NOT_FOUND = const(404)

_PHRASES = {
    200: "OK",
    302: "Found",
    303: "See Other",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}
_METHODS = ("GET", "HEAD", "POST")
# The page loads nothing, runs nothing and is nobody's frame; passwords typed into it stay in no cache.
_ALWAYS = (
    "Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    "\r\n\r\n"
)


class Request:
    """What arrives on one connection. `method`, `path` (without what follows "?"), `host` and `body` are set when
    `feed` has returned COMPLETE."""

    def __init__(self) -> None:
        self.method = self.path = self.host = ""
        self.body = b""
        self._buf = b""
        self._body_len = -1  # until the head is complete

    def feed(self, octets: bytes) -> int:
        """Take octets: MORE are needed, COMPLETE, or the status by which to refuse the request."""
        self._buf += octets
        if self._body_len < 0:
            end = self._buf.find(b"\r\n\r\n")
            if end < 0:
                return self._incomplete()
            if end > HEAD_MAX:
                return HEAD_TOO_LONG
            status = self._take_head(self._buf[:end])
            if status != COMPLETE:
                return status
            self._buf = self._buf[end + 4 :]
        if len(self._buf) < self._body_len:
            return MORE
        self.body = self._buf[: self._body_len]
        return COMPLETE

    def _incomplete(self) -> int:
        """The limits count without what ends a line and the head, 2 and 4 octets."""
        if len(self._buf) >= LINE_MAX + 2 and b"\r\n" not in self._buf[: LINE_MAX + 2]:
            return LINE_TOO_LONG
        return HEAD_TOO_LONG if len(self._buf) >= HEAD_MAX + 4 else MORE

    def _take_head(self, head: bytes) -> int:
        if not all(32 <= octet < 127 or octet in b"\r\n\t" for octet in head):
            return BAD
        lines = str(head, "ascii").split("\r\n")
        status = self._take_line(lines[0])
        if status != COMPLETE:
            return status
        found = _fields(lines[1:])
        if found is None:
            return BAD
        if "transfer-encoding" in found:
            return NOT_IMPLEMENTED
        self.host = found.get("host", "").lower()
        return self._take_length(found.get("content-length"))

    def _take_line(self, line: str) -> int:
        if len(line) > LINE_MAX:
            return LINE_TOO_LONG
        parts = line.split(" ")
        if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not parts[1].startswith("/"):
            return BAD
        self.method, target = parts[0], parts[1]
        self.path = target.split("?")[0]
        return COMPLETE if self.method in _METHODS else NOT_IMPLEMENTED

    def _take_length(self, text: str | None) -> int:
        """A body belongs to POST alone."""
        if self.method != "POST":
            self._body_len = 0
            return COMPLETE if text in (None, "0") else BAD
        if text is None:
            return NO_LENGTH
        if not text or not all(letter in "0123456789" for letter in text):
            return BAD
        if len(text) > 5 or int(text) > BODY_MAX:
            return BODY_TOO_LONG
        self._body_len = int(text)
        return COMPLETE


def parse_form(body: bytes) -> dict:
    """The fields of a form (application/x-www-form-urlencoded, UTF-8) as texts. Raises MalformedError."""
    fields = {}
    for part in body.split(b"&") if body else ():
        name, _, value = part.partition(b"=")
        name = _decoded(name)
        if name in fields or len(fields) == _FIELDS_MAX:
            raise MalformedError("a field of the form comes twice, or there are too many")
        fields[name] = _decoded(value)
    return fields


def response(status: int, body: bytes = b"", location: str = "") -> bytes:
    """A whole response; its body is HTML. `location` redirects."""
    head = "HTTP/1.1 %d %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n" % (
        status,
        _PHRASES[status],
        len(body),
    )
    if location:
        head += "Location: " + location + "\r\n"
    return (head + _ALWAYS).encode() + body


def _fields(lines: list) -> dict | None:
    """Names in lower case and values; None for what is no header, or for one that must come once and comes twice."""
    found = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or " " in name or "\t" in name:
            return None
        if name in found and name in ("host", "content-length", "transfer-encoding"):
            return None
        found[name] = value.strip()
    return found


def _decoded(octets: bytes) -> str:
    out = bytearray()
    at = 0
    while at < len(octets):
        octet = octets[at]
        if octet == 0x25:
            try:
                digits = str(octets[at + 1 : at + 3], "ascii")
                octet = int(digits, 16)
            except ValueError:
                raise MalformedError("not a percent-encoded form", at)
            if len(digits) != 2 or not all(letter in "0123456789abcdefABCDEF" for letter in digits):
                raise MalformedError("not a percent-encoded form", at)
            at += 2
        elif octet == 0x2B:
            octet = 0x20
        out.append(octet)
        at += 1
    try:
        return str(out, "utf-8")
    except ValueError:
        raise MalformedError("the form is not UTF-8")
