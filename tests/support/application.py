"""An example application in this process: loaded with options, called as an owner on the local network would."""

import sys

from homeport_core.rpc import Reader, Writer, decode_fields, encode_fields
from homeport_core.spec import AER_READY

_FOLDER = (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/../../firmware/examples"
_OWNER = b"\xa0" * 16


class Connection:
    """A local client with the owner's fingerprint."""

    fingerprint = _OWNER
    is_local = True
    is_psk = False
    client_id = b"somebody"


class Request:
    """As the stack has it, as far as handlers look."""

    connection = Connection()

    def __init__(self, query_id):
        self.query_id = query_id


class Files:
    """A list of users that is not kept."""

    def load(self, acl):
        return None

    def save(self, acl):
        return None


def load(name, *options):
    """The module, as `homeport sim NAME` would have loaded it; its device has an owner."""
    if _FOLDER not in sys.path:
        sys.path.insert(0, _FOLDER)
    kept = sys.argv[:]
    sys.argv[:] = [name, "--id", "tested"]
    sys.argv.extend(options)
    try:
        module = __import__(name)
    finally:
        sys.argv[:] = kept
    module.device.acl._store = Files()
    module.device.acl.add(_OWNER, b"owner")
    return module


def call(device, name, *values):
    """(AER code, results) of a query by name, with the parameters in the declared order."""
    (query,) = [query for query in device.queries.all() if query.name == name]
    parameters, response = Writer(bytearray(200)), Writer(bytearray(200))
    encode_fields(query.params, values, parameters)
    code = device.request(Request(query.id), Reader(parameters.buf, 0, parameters.size()), response)
    if code != AER_READY:
        return code, None
    reader = Reader(response.buf, 0, response.size())
    results = tuple(decode_fields(query.result, reader))
    assert reader.remaining() == 0, "more octets than declared"
    return code, results
