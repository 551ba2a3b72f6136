"""Answers to DNS questions of phones on the set-up network: every name is the page's address, so it opens by itself.

One question, one answer (RFC 1035); what is no plain question gets none. No answer is longer than 16 octets more than
its question, and nobody outside of the set-up network is answered.
"""

from homeport_core.compat import const

QUERY_MAX = const(512)
_HEADER_LEN = const(12)
_NAME_MAX = const(255)
_LABEL_MAX = const(63)
_TYPE_A = b"\x00\x01\x00\x01"  # type A, class IN
# Response, authoritative; recursion is there, so that nobody asks elsewhere. The low bit of the first octet is copied.
_RESPONSE = const(0x84)
_AVAILABLE = const(0x80)
_DESIRED = const(0x01)
_NOT_A_RESPONSE_TO = const(0xFE)  # response, opcode, authoritative, truncated
# The name of the question again, type A, class IN, no time to live, four octets.
_ANSWER = b"\xc0\x0c" + _TYPE_A + bytes(4) + b"\x00\x04"


def answer(query: bytes, address: bytes) -> bytes | None:
    """The answer to a datagram: `address` (4 octets) for questions of type A, an empty one for others; None for what
    is no question."""
    if not _HEADER_LEN < len(query) <= QUERY_MAX or query[2] & _NOT_A_RESPONSE_TO:
        return None
    if query[4:6] != b"\x00\x01" or query[6:10] != bytes(4):
        return None
    end = _end_of_name(query)
    if end is None or len(query) < end + 4:
        return None
    question = query[_HEADER_LEN : end + 4]
    found = question[-4:] == _TYPE_A
    flags = bytes((_RESPONSE | query[2] & _DESIRED, _AVAILABLE))
    head = query[:2] + flags + b"\x00\x01" + (b"\x00\x01" if found else bytes(2)) + bytes(4)
    return head + question + (_ANSWER + address if found else b"")


def _end_of_name(query: bytes) -> int | None:
    """Where the name of the first question ends; None when it is none, or compressed."""
    at = _HEADER_LEN
    while at < len(query) and at - _HEADER_LEN < _NAME_MAX:
        length = query[at]
        at += 1 + length
        if length == 0:
            return at
        if length > _LABEL_MAX:
            return None
    return None
