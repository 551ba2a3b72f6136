"""Pairing with a device, and the end-to-end key that comes with it (docs/extensions.md, "End-to-end keys").

A secret never crosses a network in clear: the key goes to the device over a connection that is keyed by the secret on
the device's label, or, later, by the key that it replaces. Without a label pairing is clear, as in the original, and
there is no key.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport_core.spec import NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID

from homeport.client.acl import User
from homeport.client.client import Client, parse_target
from homeport.client.device import Device
from homeport.client.keys import DeviceKeys, Psk
from homeport.client.session.refusals import UNKNOWN_QUERY
from homeport.client.session.rekey import PAIR_AGAIN
from homeport.errors import NotEndToEnd, NotPaired, RefusedError, StateError

_HAS_KEY = "the device has this client's own key"
_NO_LABEL = (
    "paired in clear, where a key could be read; if there is a secret on the device's label, remove this user and pair "
    "with --label-secret"
)
_TOO_OLD = "the device's firmware has no end-to-end keys"


@dataclass(frozen=True)
class Pairing:
    """What came of it; `reason` says why there is an end-to-end key, or why not."""

    user: User
    was_known: bool
    encrypted: bool
    end_to_end: bool
    reason: str


async def pair(client: Client, target: str, name: str, label: Psk | None = None) -> Pairing:
    """Enter ourselves into the list of a device on the local network, with a key if `label` is the label's secret.

    Raises what `Client.connect` and `Device.pair` raise; NotPaired and RefusedError say what to do about a label.
    """
    device_id, _ = parse_target(target)
    if client.profile.keys.of(device_id):
        try:
            async with await client.connect(target, "local") as device:
                return Pairing(await device.current_user(), True, True, True, _HAS_KEY)
        except NotEndToEnd:
            if label is None:
                raise
    if label is None:
        return await _pair_in_clear(client, target, name)
    return await _pair_by_label(client, target, name, label)


async def _pair_in_clear(client: Client, target: str, name: str) -> Pairing:
    async with await client.connect(target, "local") as device:
        info = await device.call("get_public_device_info")
        user = await device.pair(name)
        return Pairing(user, bool(info["is_current_user_paired"]), device.is_private, False, _NO_LABEL)


async def _pair_by_label(client: Client, target: str, name: str, label: Psk) -> Pairing:
    keys = client.profile.keys
    async with await _connect_by_label(client, target, label) as device:
        psk = Psk.draw()
        keys.offer(device.id, psk)
        try:
            user = await device.pair_with_key(name, psk)
        except RefusedError as error:
            keys.withdraw(device.id, psk)
            if error.code not in UNKNOWN_QUERY or client.profile.require_end_to_end:
                raise
            return Pairing(await device.pair(name), False, device.is_private, False, _TOO_OLD)
        keys.settle(device.id, psk)
    async with await client.connect(target, "local") as device:
        # What is said of the key is what has been seen.
        return Pairing(user, False, device.is_private, device.end_to_end, _HAS_KEY)


async def _connect_by_label(client: Client, target: str, label: Psk) -> Device:
    try:
        return await client.connect(target, "local", psk=label)
    except RefusedError as error:
        if error.code == NOTIFY_BAD_KEY:
            raise RefusedError("the secret is not the one of this device's label", error.code) from error
        if error.code == NOTIFY_BAD_KEY_ID:
            raise NotPaired(
                "the device does not pair by a label now: it has no secret set, or is not open for pairing",
                error.code,
                "let an owner open it with 'homeport acl DEVICE settings --pairing on', press its button if it has "
                "one, or pair without --label-secret",
            ) from error
        raise
    except NotPaired as error:
        raise NotPaired(
            "the device knows this client already, without an end-to-end key of this profile",
            error.detail,
            "let an owner remove it with 'homeport acl DEVICE remove FINGERPRINT', then pair again",
        ) from error


async def renew_key(device: Device) -> None:
    """Replace the end-to-end key of an open connection that uses it. Raises NotEndToEnd, and what `call` raises."""
    keys = _keys_of(device)
    psk = Psk.draw()
    keys.offer(device.id, psk)
    try:
        await device.set_my_key(psk)
    except RefusedError:
        keys.withdraw(device.id, psk)
        raise
    keys.settle(device.id, psk)


async def remove_key(device: Device) -> None:
    """Go back to connections that the basestation can read. Raises NotEndToEnd, and what `call` raises."""
    keys = _keys_of(device)
    await device.set_my_key(None)
    keys.remove(device.id)


async def remove_user(device: Device, fingerprint: bytes) -> None:
    """Take somebody, or ourselves with our key, out of the device's list. Raises what `call` raises."""
    await device.remove_user(fingerprint)
    if device.profile is not None and device.profile.fingerprint == fingerprint:
        device.profile.keys.remove(device.id)


def _keys_of(device: Device) -> DeviceKeys:
    if device.profile is None:
        raise StateError("this device was not made by a client")
    if not device.end_to_end or not device.profile.keys.of(device.id):
        raise NotEndToEnd(
            f"{device.id}: the connection does not use an end-to-end key of this profile", None, PAIR_AGAIN
        )
    return device.profile.keys
