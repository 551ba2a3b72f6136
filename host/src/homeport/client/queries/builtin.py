"""Queries that every device with paired access answers (specification, application 2.8 and 1.9)."""

from __future__ import annotations

from homeport_core.rpc import HEX, RAW, UINT8, UINT16, UINT32

from homeport.client.queries.interface import Interface
from homeport.client.queries.query import Fields, ListField, Parameter, Query

_NAME = Parameter("name", RAW)
_FINGERPRINT = Parameter("fingerprint", HEX)
_PERMISSIONS = Parameter("permissions", UINT32)
_STATUS = Parameter("status", UINT8)
_TOKEN = Parameter("fcm_token", RAW)
_KEY_ID = Parameter("key_id", HEX)
_KEY = Parameter("key", HEX)
_DEFAULT_PERMISSIONS = Parameter("default_user_permissions_after_pairing", UINT32)

_USER: Fields = (_STATUS, _FINGERPRINT, _NAME, _PERMISSIONS)
_SETTINGS: Fields = (_STATUS, _PERMISSIONS, _DEFAULT_PERMISSIONS)
_HEALTH: Fields = (
    Parameter("uptime", UINT32),
    Parameter("unix_time", UINT32),
    Parameter("reset_cause", UINT8),
    Parameter("faults", UINT16),
    Parameter("free_memory", UINT32),
    Parameter("users_written", UINT32),
    Parameter("first", UINT32),
    ListField("events", (Parameter("uptime", UINT32), Parameter("kind", UINT8), Parameter("text", RAW))),
    Parameter("next", UINT32),
)

BUILTIN = Interface(
    [
        Query(
            "get_interface_info.json",
            0,
            (),
            (
                Parameter("interface_id", RAW),
                Parameter("interface_version_major", UINT16),
                Parameter("interface_version_minor", UINT16),
            ),
        ),
        Query(
            "get_public_device_info.json",
            10000,
            (),
            (
                Parameter("device_name", RAW),
                Parameter("device_type", RAW),
                Parameter("device_icon", RAW),
                Parameter("is_open_for_pairing", UINT8),
                Parameter("is_current_user_paired", UINT8),
                Parameter("is_current_user_owner", UINT8),
            ),
        ),
        Query("set_device_info.json", 10010, (Parameter("device_name", RAW),), (Parameter("device_name", RAW),)),
        Query(
            "get_users.json",
            11000,
            (Parameter("count", UINT8), Parameter("start", UINT32)),
            # A field `next` follows the list; published files leave it out, and some devices may (application 1.9).
            (ListField("users", (_FINGERPRINT, _NAME, _PERMISSIONS)),),
        ),
        Query("pair_with_device.json", 11010, (_NAME,), _USER),
        Query("get_current_user.json", 11020, (), _USER),
        Query("get_system_security_settings.json", 11030, (), _SETTINGS),
        Query("set_system_security_settings.json", 11040, (_PERMISSIONS, _DEFAULT_PERMISSIONS), _SETTINGS),
        Query("set_user_permissions.json", 11050, (_FINGERPRINT, _PERMISSIONS), _USER),
        Query("set_user_name.json", 11060, (_FINGERPRINT, _NAME), _USER),
        Query("add_user.json", 11065, (_FINGERPRINT, _NAME), _USER),
        Query("remove_user.json", 11070, (_FINGERPRINT,), (_STATUS,)),
        Query("get_user_fcm_token.json", 11075, (_FINGERPRINT,), (_STATUS, _TOKEN)),
        Query("get_my_fcm_token.json", 11080, (), (_STATUS, _TOKEN)),
        Query("set_user_fcm_token.json", 11085, (_FINGERPRINT, _TOKEN), (_STATUS,)),
        Query("set_my_fcm_token.json", 11090, (_TOKEN,), (_STATUS,)),
        # Ours: docs/extensions.md, "End-to-end keys".
        Query("pair_with_key.json", 11200, (_NAME, _KEY_ID, _KEY), _USER),
        Query("set_my_key.json", 11210, (_KEY_ID, _KEY), (_STATUS,)),
        # Ours: docs/boards.md, "Events".
        Query("get_device_events.json", 10020, (Parameter("start", UINT32),), _HEALTH),
    ]
)
