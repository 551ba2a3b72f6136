"""What a client does with a device's access control list (specification, application 1.9 and 1.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport_core.spec import AER_NO_ACCESS

from homeport.client.keys import Psk
from homeport.errors import ConfigError, MalformedError, NotPaired, RefusedError

PERMISSION_LOCAL = 0x80000000
PERMISSION_REMOTE = 0x40000000
PERMISSION_ADMIN = 0x20000000
SYSTEM_LOCAL = 0x80000000
SYSTEM_REMOTE = 0x40000000  # the master switch
SYSTEM_PAIRING = 0x20000000

STATUS_OK = 0
STATUS_USER_EXISTS = 5
_STATUS_TEXTS = {
    1: "the device has no such user: 'homeport acl DEVICE list' shows them",
    2: "the device's list of users is full, or it could not save it",
    3: "the device could not save its list of users",
    4: "the device could not save its list of users",
    STATUS_USER_EXISTS: "the device has this user already",
    6: "the device has a key of this id already",
}
_MAX_USERS = 1_000  # no device has so many; a device that never ends its list must not hold us


@dataclass(frozen=True)
class User:
    """One entry of the list."""

    fingerprint: bytes
    name: str
    permissions: int

    @property
    def is_owner(self) -> bool:
        """Whether this user may manage the others."""
        return bool(self.permissions & PERMISSION_ADMIN)

    @property
    def is_remote(self) -> bool:
        """Whether this user may come through the internet."""
        return bool(self.permissions & PERMISSION_REMOTE)


@dataclass(frozen=True)
class AclSettings:
    """The device's settings: SYSTEM_… bits, and the PERMISSION_… bits that the next paired user gets."""

    permissions: int
    default_user_permissions: int

    @property
    def pairing(self) -> bool:
        """Whether the device is open for pairing."""
        return bool(self.permissions & SYSTEM_PAIRING)

    @property
    def remote(self) -> bool:
        """The master switch."""
        return bool(self.permissions & SYSTEM_REMOTE)


class AclCalls:
    """Mixed into `Device`. Every call raises what `Device.call` raises, and RefusedError for a status not OK."""

    async def call(self, query: str, /, **params: Any) -> dict[str, Any]:
        """`Device.call`."""
        raise NotImplementedError

    async def pair(self, name: str) -> User:
        """Enter ourselves into the list; done before is fine too. Raises NotPaired when pairing is closed."""
        try:
            reply = await self.call("pair_with_device.json", name=name)
        except RefusedError as refusal:
            if refusal.code != AER_NO_ACCESS:
                raise
            try:
                return await self.current_user()
            except NotPaired as error:
                raise NotPaired(
                    "the device is not open for pairing here",
                    refusal.code,
                    "pair on the device's own network (ID@HOST:PORT), after an owner has opened it with "
                    "'homeport acl DEVICE settings --pairing on', and within two minutes of a press of its button if "
                    "it has one",
                ) from error
        return _user(reply, STATUS_USER_EXISTS)

    async def pair_with_key(self, name: str, psk: Psk) -> User:
        """Enter ourselves into the list with an end-to-end key, over a connection keyed by the device's label."""
        return _user(await self.call("pair_with_key.json", name=name, key_id=psk.key_id, key=psk.key))

    async def set_my_key(self, psk: Psk | None) -> None:
        """Replace our end-to-end key, or take it away, over a connection that uses it."""
        key_id, key = (psk.key_id, psk.key) if psk else (b"", b"")
        _check_status(await self.call("set_my_key.json", key_id=key_id, key=key))

    async def current_user(self) -> User:
        """Our own entry. Raises NotPaired when there is none."""
        try:
            return _user(await self.call("get_current_user.json"))
        except RefusedError as error:
            if error.code == AER_NO_ACCESS:
                raise NotPaired("the device does not know this client", error.code, "pair with it first") from error
            raise

    async def users(self) -> list[User]:
        """All entries; asks for page after page, since one answer holds only a few."""
        users: list[User] = []
        while len(users) < _MAX_USERS:
            page = (await self.call("get_users.json", count=0, start=len(users)))["users"]
            if not page:
                return users
            users += [_user({"status": STATUS_OK, **entry}) for entry in page]
        raise MalformedError(f"the device lists more than {_MAX_USERS} users", len(users))

    async def add_user(self, fingerprint: bytes, name: str) -> User:
        """Enter somebody else, with the permissions of a newly paired user."""
        return _user(await self.call("add_user.json", fingerprint=fingerprint, name=name))

    async def remove_user(self, fingerprint: bytes) -> None:
        """Take somebody (or ourselves) out of the list."""
        _check_status(await self.call("remove_user.json", fingerprint=fingerprint))

    async def rename_user(self, fingerprint: bytes, name: str) -> User:
        """Change the name in an entry."""
        return _user(await self.call("set_user_name.json", fingerprint=fingerprint, name=name))

    async def set_permissions(self, fingerprint: bytes, permissions: int) -> User:
        """Replace all permission bits of an entry."""
        return _user(await self.call("set_user_permissions.json", fingerprint=fingerprint, permissions=permissions))

    async def allow(self, fingerprint: bytes, bits: int) -> User:
        """Add PERMISSION_… bits to an entry."""
        return await self.set_permissions(fingerprint, (await self.find_user(fingerprint)).permissions | bits)

    async def deny(self, fingerprint: bytes, bits: int) -> User:
        """Take PERMISSION_… bits away from an entry."""
        return await self.set_permissions(fingerprint, (await self.find_user(fingerprint)).permissions & ~bits)

    async def find_user(self, fingerprint: bytes) -> User:
        """The entry of this fingerprint. Raises RefusedError when there is none."""
        for user in await self.users():
            if user.fingerprint == fingerprint:
                return user
        raise RefusedError(_STATUS_TEXTS[1], 1)

    async def settings(self) -> AclSettings:
        """The device's settings (for owners)."""
        return _settings(await self.call("get_system_security_settings.json"))

    async def change_settings(
        self,
        pairing: bool | None = None,
        remote: bool | None = None,
        new_users_remote: bool | None = None,
        local: bool | None = None,
    ) -> AclSettings:
        """Change what is not None: open for pairing, the master switch, remote access of newly paired users, and
        access from the local network. Raises ConfigError for what would leave no way to the device."""
        now = await self.settings()
        system = _with_bit(_with_bit(now.permissions, SYSTEM_PAIRING, pairing), SYSTEM_REMOTE, remote)
        system = _with_bit(system, SYSTEM_LOCAL, local)
        if not system & (SYSTEM_LOCAL | SYSTEM_REMOTE):
            raise ConfigError("with local and remote use off nobody could reach the device again: leave one on")
        default = _with_bit(now.default_user_permissions, PERMISSION_REMOTE, new_users_remote)
        reply = await self.call(
            "set_system_security_settings.json",
            permissions=system,
            default_user_permissions_after_pairing=default,
        )
        return _settings(reply)


def _with_bit(word: int, bit: int, on: bool | None) -> int:
    if on is None:
        return word
    return word | bit if on else word & ~bit


def _check_status(reply: dict[str, Any], *accepted: int) -> None:
    status = reply["status"]
    if status != STATUS_OK and status not in accepted:
        raise RefusedError(_STATUS_TEXTS.get(status, f"the device answered status {status}"), status)


def _user(reply: dict[str, Any], *accepted: int) -> User:
    _check_status(reply, *accepted)
    return User(bytes.fromhex(reply["fingerprint"]), reply["name"], reply["permissions"])


def _settings(reply: dict[str, Any]) -> AclSettings:
    _check_status(reply)
    return AclSettings(reply["permissions"], reply["default_user_permissions_after_pairing"])
