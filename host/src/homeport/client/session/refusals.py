"""The errors that stand for a device's or basestation's "no"."""

from __future__ import annotations

from homeport_core import catalogue
from homeport_core.spec import (
    AER_INV_QUERY_ID,
    AER_NO_ACCESS,
    AER_NO_QUERY_ID,
    AER_NOT_READY,
    AER_OUT_OF_RESOURCES,
    AER_RSP_TOO_LARGE,
    AER_SYSTEM_ERROR,
    AER_TOO_LARGE,
    AER_TOO_SMALL,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_ENCR_MISMATCH,
    NOTIFY_MISSING_CAPABILITIES,
)

from homeport.errors import DeviceOffline, HomeportError, NotPaired, RefusedError

_OFFLINE = {
    catalogue.NOTIFY_UNKNOWN_MICRO: "the device is not attached to the basestation",
    catalogue.NOTIFY_MICRO_REQ_ERR: "the device does not answer the basestation",
    catalogue.NOTIFY_MICRO_REATTACHING: "the device is just attaching again",
}
_REFUSED = {
    NOTIFY_ENCR_MISMATCH: "the device refused the encryption of this connection",
    NOTIFY_BUSY_MICRO: "the device has no free connection",
    NOTIFY_BAD_KEY_ID: "the device does not know this pre-shared key",
    NOTIFY_BAD_KEY: "the device has another pre-shared key under this id",
    NOTIFY_MISSING_CAPABILITIES: "the device asks for capabilities that we did not offer",
    catalogue.NOTIFY_CP_ACCESS_BS: "the basestation refuses this client",
    catalogue.NOTIFY_SELF_SIGNED: "the basestation does not accept self-signed certificates",
}
_EXCEPTIONS = {
    AER_NOT_READY: "the device is not ready",
    AER_NO_ACCESS: "the device denies this query here: pair, let an owner allow you, or try another path",
    AER_TOO_SMALL: "the device misses parameters of the query",
    AER_TOO_LARGE: "the request is too large for the device",
    AER_INV_QUERY_ID: "the device does not know this query",
    AER_RSP_TOO_LARGE: "the answer is too large for the device",
    AER_OUT_OF_RESOURCES: "the device is out of resources",
    AER_SYSTEM_ERROR: "the device had a system error, or too many requests at once",
    AER_NO_QUERY_ID: "the device does not know this query (it misses a query id)",
}
UNKNOWN_QUERY = frozenset((AER_INV_QUERY_ID, AER_NO_QUERY_ID))
"""Exceptions of a device that does not have a query; which of the two depends on its application."""
_NEXT_PAIR = "pair with 'homeport pair' on the device's network, or let an owner add or allow you ('homeport acl')"
_NEXT_OFFLINE = "see that the device has power and network and the right key, and that remote access is on"


def notify_error(code: int, reason: str = "") -> HomeportError:
    """What a refused connection means; `reason` is the basestation's own text, if it gave one."""
    if code == NOTIFY_CP_ACCESS:
        return NotPaired(reason or "the device does not grant this client access", code, _NEXT_PAIR)
    if code in _OFFLINE:
        return DeviceOffline(reason or _OFFLINE[code], code, _NEXT_OFFLINE)
    name = catalogue.NOTIFY_NAMES.get(code, f"0x{code:X}")
    return RefusedError(reason or _REFUSED.get(code, f"the connection was refused ({name})"), code)


def exception_error(code: int) -> RefusedError:
    """What an exception to a request means (specification, core 7.4)."""
    name = catalogue.AER_NAMES.get(code, str(code))
    return RefusedError(_EXCEPTIONS.get(code, f"the device reported exception {name}"), code)
