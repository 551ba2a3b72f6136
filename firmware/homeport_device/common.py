"""The queries that all devices have: interface and public information (specification, application 2.8)."""

from homeport_core.compat import const
from homeport_core.errors import RefusedError
from homeport_core.rpc import RAW, UINT8, UINT16
from homeport_core.spec import AER_TOO_LARGE

from homeport_device.queries import ANYONE, OWNER

_NAME_MAX = const(49)


def declare(device: object) -> None:
    """Add the common queries to a device."""
    if device.interface:

        @device.query(
            0,
            "get_interface_info.json",
            result=(
                ("interface_id", RAW),
                ("interface_version_major", UINT16),
                ("interface_version_minor", UINT16),
            ),
            allow=ANYONE,
        )
        def get_interface_info(request: object) -> tuple:
            return device.interface

    @device.query(
        10000,
        "get_public_device_info.json",
        result=(
            ("device_name", RAW),
            ("device_type", RAW),
            ("device_icon", RAW),
            ("is_open_for_pairing", UINT8),
            ("is_current_user_paired", UINT8),
            ("is_current_user_owner", UINT8),
        ),
        allow=ANYONE,
    )
    def get_public_device_info(request: object) -> tuple:
        acl, connection = device.acl, request.connection
        return (
            device.name,
            device.type,
            device.icon,
            int(acl.pair_allowed(connection)),
            int(acl.is_paired(connection)),
            int(acl.is_owner(connection)),
        )

    @device.query(
        10010,
        "set_device_info.json",
        params=(("device_name", RAW),),
        result=(("device_name", RAW),),
        allow=OWNER,
    )
    def set_device_info(request: object, name: bytes) -> bytes:
        if len(name) > _NAME_MAX:
            raise RefusedError("a device name has at most 49 octets", AER_TOO_LARGE)
        device.name = name
        return name
