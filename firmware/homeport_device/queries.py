"""The queries that an application declares, and how one is answered (specification, application 2 and 3).

A declaration is the single source: from it requests are decoded and responses encoded here, and the interface
that clients read is printed (`interface`).
"""

from homeport_core.compat import const
from homeport_core.errors import ConfigError, FullError, MalformedError, RefusedError
from homeport_core.rpc import HEX, UINT8, decode_fields, encode_fields
from homeport_core.spec import (
    AER_ACCEPTED,
    AER_NO_ACCESS,
    AER_READY,
    AER_RSP_TOO_LARGE,
    AER_SYSTEM_ERROR,
    AER_TOO_SMALL,
)

from homeport_device import log
from homeport_device.acl import ADMIN

# Who may call a query: anybody connected, users who paired, owners. Application bits (0x1 to 0xffff) may be
# added to the last two: `allow=GUEST | 0x0001`.
ANYONE = const(-1)
GUEST = const(0)
OWNER = ADMIN

_ID_MAX = const(0xFFFFFFFF)


class Query:
    """One declared query. Raises ConfigError when the declaration makes no sense."""

    __slots__ = ("allow", "handler", "id", "name", "params", "result")

    def __init__(self, query_id: int, name: str, params: tuple, result: tuple, allow: int, handler: object) -> None:
        if not 0 <= query_id <= _ID_MAX:
            raise ConfigError("a query id has 32 bits", query_id)
        if not name or not all(" " < letter <= "~" for letter in name):
            raise ConfigError("a query needs a name without blanks", name)
        _check_fields(name, params)
        _check_fields(name, result)
        self.id = query_id
        self.name = name
        self.params = params
        self.result = result
        self.allow = allow
        self.handler = handler

    def answer(self, request: object, reader: object, writer: object) -> tuple:
        """Call the handler; returns (AER code, None), or (AER_ACCEPTED, coroutine) of an async handler."""
        try:
            values = decode_fields(self.params, reader)
        except MalformedError:
            return AER_TOO_SMALL, None
        try:
            value = self.handler(request, *values)
        except (KeyboardInterrupt, SystemExit):
            raise  # Ctrl-C, and the reset of a simulated board
        except BaseException as error:  # CancelledError is no Exception, and would end the task that receives
            return self.failed(error), None
        if hasattr(value, "send"):
            return AER_ACCEPTED, value
        return self.write(value, writer), None

    def write(self, value: object, writer: object) -> int:
        """Encode what the handler returned: a tuple of results, a single result, or None for no result."""
        if value is None:
            value = ()
        elif not isinstance(value, tuple):
            value = (value,)
        try:
            encode_fields(self.result, value, writer)
        except FullError:
            return AER_RSP_TOO_LARGE
        except Exception as error:
            return self.failed(error)
        return AER_READY

    def failed(self, error: object) -> int:
        """The code for an exception of the handler; anything but a refusal costs a line in the log."""
        if isinstance(error, RefusedError):
            return error.code or AER_NO_ACCESS
        log.event(log.FAULT, "query", self.name, "failed:", type(error).__name__, log.printable(error))
        return AER_SYSTEM_ERROR


class Queries:
    """All queries of one device, by id."""

    def __init__(self) -> None:
        self._by_id = {}

    def add(self, query: Query) -> None:
        """Raises ConfigError when the id or the name is taken."""
        for other in self._by_id.values():
            if other.id == query.id or other.name == query.name:
                raise ConfigError("query %d %s: id or name is taken" % (query.id, query.name))
        self._by_id[query.id] = query

    def get(self, query_id: int) -> Query:
        """The query, or None."""
        return self._by_id.get(query_id)

    def all(self) -> list:
        """In the order of their ids."""
        return [self._by_id[query_id] for query_id in sorted(self._by_id)]


def _check_fields(name: str, fields: tuple) -> None:
    for field in fields:
        if not isinstance(field, tuple) or len(field) != 2 or not isinstance(field[0], str):
            raise ConfigError(
                'query %s: a field is ("name", TYPE); one field alone needs a comma: (("a", UINT8),)' % name
            )
        if isinstance(field[1], tuple):
            _check_fields(name, field[1])
        elif not isinstance(field[1], int) or not UINT8 <= field[1] <= HEX:
            raise ConfigError("query %s: no such type for %s" % (name, field[0]))
