"""One question to a name server and what its answers say (RFC 1035): the IPv4 addresses of a name.

For boards, whose own look-up lets everything else stand still, the watchdog's feeding with it, for as long as a dead
network takes, which may be for ever.
"""

from homeport_core.compat import const
from homeport_core.errors import MalformedError

# The longest datagram that is looked at, and the most addresses taken from it.
ANSWER_MAX = const(512)
_ADDRESSES_MAX = const(6)
_HEADER_LEN = const(12)
_LABEL_MAX = const(63)
_NAME_MAX = const(253)
# One question, recursion desired; type A, class IN.
_ASKED = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
_TYPE_A = b"\x00\x01\x00\x01"
_RECORD_LEN = const(10)  # type, class, time to live, length
_RESPONSE = const(0x80)
_OPCODE = const(0x78)
_RCODE = const(0x0F)
_POINTER = const(0xC0)


class DnsQuery:
    """`octets` is the question, with a number of its own from `random(n)`. Raises MalformedError for no name."""

    def __init__(self, name: str, random: object) -> None:
        self.octets = random(2) + _ASKED + _labels(name) + _TYPE_A

    def addresses(self, answer: bytes) -> list | None:
        """4 octets each, empty when the server knows of none; None for a datagram that is no answer to this.

        Aliases are taken as the server has followed them.
        """
        question = self.octets
        if not len(question) <= len(answer) <= ANSWER_MAX or answer[:2] != question[:2]:
            return None
        if answer[2] & (_RESPONSE | _OPCODE) != _RESPONSE or answer[4:6] != b"\x00\x01":
            return None
        if answer[_HEADER_LEN : len(question)].lower() != question[_HEADER_LEN:].lower():
            return None
        if answer[3] & _RCODE:
            return []
        try:
            return _read_records(answer, len(question), answer[6] << 8 | answer[7])
        except IndexError:
            return None


def _labels(name: str) -> bytes:
    """A name as the wire has it. Raises MalformedError."""
    labels = name.rstrip(".").split(".")
    if len(name) > _NAME_MAX or not all("!" <= letter <= "~" for letter in name):
        raise MalformedError("not a name")
    if not all(0 < len(label) <= _LABEL_MAX for label in labels):
        raise MalformedError("not a name")
    return b"".join([bytes((len(label),)) + label.encode() for label in labels]) + b"\x00"


def _read_records(answer: bytes, off: int, count: int) -> list:
    """The addresses among so many records. Raises IndexError when it ends before they do."""
    found = []
    for _ in range(count):
        off = _past_name(answer, off)
        length = answer[off + 8] << 8 | answer[off + 9]
        data = answer[off + _RECORD_LEN : off + _RECORD_LEN + length]
        if len(data) < length:
            raise IndexError
        if answer[off : off + 4] == _TYPE_A and length == 4 and len(found) < _ADDRESSES_MAX:
            found.append(data)
        off += _RECORD_LEN + length
    return found


def _past_name(answer: bytes, off: int) -> int:
    """Where a name ends; a compressed one ends with its pointer, which nobody follows."""
    while True:
        length = answer[off]
        if length & _POINTER == _POINTER:
            return off + 2
        off += 1 + length
        if length == 0:
            return off
