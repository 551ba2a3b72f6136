"""Why a datagram was not acted upon. Handlers return one of these; the stack counts them."""

from homeport_core.compat import const

TAKEN = const(0)  # acted upon
MALFORMED = const(1)  # length, header or payloads wrong
SOURCE = const(2)  # from an address or socket that may not send this
STATE = const(3)  # not now
UNKNOWN = const(4)  # no such connection, type or tag
RATE = const(5)  # too many of this kind
AUTH = const(6)  # MAC, suite or padding
REPLAY = const(7)  # seen before
OFF = const(8)  # switched off by configuration or by the master switch
REASONS = const(9)
