"""Prints `unabto_queries.xml`, by which clients know a device's queries (specification, application 2.2).

Not loaded while the device runs.
"""

from homeport_core.rpc import HEX, RAW, UINT8, UINT32

# By type.
_TYPE_NAMES = ("", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float", "double", "raw", "raw")

_USER = (("fingerprint", HEX), ("name", RAW), ("permissions", UINT32))
_STATUS = (("status", UINT8),)
_SETTINGS = (("permissions", UINT32), ("default_user_permissions_after_pairing", UINT32))
_FINGERPRINT = (("fingerprint", HEX),)
_NAME = (("name", RAW),)
_KEY = (("key_id", HEX), ("key", HEX))
_TOKEN = (("fcm_token", RAW),)

# What `acl_rpc` answers, as (id, name, request, response). 11000 also sends the next index, which the published
# interface leaves out.
ACL_QUERIES = (
    (11000, "get_users.json", (("count", UINT8), ("start", UINT32)), (("users", _USER),)),
    (11010, "pair_with_device.json", _NAME, _STATUS + _USER),
    (11020, "get_current_user.json", (), _STATUS + _USER),
    (11030, "get_system_security_settings.json", (), _STATUS + _SETTINGS),
    (11040, "set_system_security_settings.json", _SETTINGS, _STATUS + _SETTINGS),
    (11050, "set_user_permissions.json", (("fingerprint", HEX), ("permissions", UINT32)), _STATUS + _USER),
    (11060, "set_user_name.json", _FINGERPRINT + _NAME, _STATUS + _USER),
    (11065, "add_user.json", _FINGERPRINT + _NAME, _STATUS + _USER),
    (11070, "remove_user.json", _FINGERPRINT, _STATUS),
    (11075, "get_user_fcm_token.json", _FINGERPRINT, _STATUS + _TOKEN),
    (11080, "get_my_fcm_token.json", (), _STATUS + _TOKEN),
    (11085, "set_user_fcm_token.json", _FINGERPRINT + _TOKEN, _STATUS),
    (11090, "set_my_fcm_token.json", _TOKEN, _STATUS),
    (11200, "pair_with_key.json", _NAME + _KEY, _STATUS + _USER),
    (11210, "set_my_key.json", _KEY, _STATUS),
)


def lines(queries: object) -> list:
    """The document's lines, for the declared queries and those of the access control list, by id."""
    entries = [(query.id, query.name, query.params, query.result) for query in queries.all()]
    out = ['<?xml version="1.0" encoding="UTF-8"?>', "<unabto_queries>"]
    for query_id, name, params, result in sorted(entries + list(ACL_QUERIES), key=lambda entry: entry[0]):
        out.append('  <query name="%s" id="%d">' % (_escape(name), query_id))
        out.append("    <request>")
        _add_fields(out, params, 6)
        out.append("    </request>")
        out.append('    <response format="json">')
        _add_fields(out, result, 6)
        out.append("    </response>")
        out.append("  </query>")
    out.append("</unabto_queries>")
    return out


def _add_fields(out: list, fields: tuple, depth: int) -> None:
    indent = " " * depth
    for name, kind in fields:
        if isinstance(kind, tuple):
            out.append('%s<list name="%s">' % (indent, _escape(name)))
            _add_fields(out, kind, depth + 2)
            out.append(indent + "</list>")
        else:
            shown = ' representation="hex"' if kind == HEX else ""
            out.append('%s<parameter name="%s" type="%s"%s/>' % (indent, _escape(name), _TYPE_NAMES[kind], shown))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
