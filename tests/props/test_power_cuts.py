"""Power is cut at every octet of everything that a change of a record does to raw flash, and again in the repair.

Tens of thousands of cuts. What an operation was doing is left half done, with bits that read differently each time
(tests/support/nor_flash.py). POWER_CUTS_SEED=N repeats what a failure prints.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from homeport_core.errors import StorageError
from homeport_core.record import CONFIG, FACTORY, SECRETS, USERS
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.factory_reset import factory_reset, resume
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from nor_flash import NorFlash
from power_cuts import Campaign

OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
SLOTS_OF_USERS = 3  # the list's own: emptying 32 of them at each start would take most of the test's time
LONG = bytes(range(256)) * 14
NO_WIFI = b'{"name":"Light"}'
WITH_WIFI = b'{"name":"Light","wifi":[["home","password"]]}'

State = tuple[object, ...]
Change = Callable[[NorFlash], object]


def store(flash: NorFlash) -> RecordStore:
    return RecordStore(FlashSlots(flash))


def users(flash: NorFlash) -> Acl:
    acl = Acl(AclRecord(store(flash)), size=SLOTS_OF_USERS)
    acl.load()
    return acl


def users_state(flash: NorFlash) -> State:
    """What a start finds: who may do what."""
    flash.restart()
    acl = users(flash)
    return acl.system, acl.default_user, acl.first_user, *[bytes(acl.record(slot)) for slot in acl.users()]


def whole_state(flash: NorFlash) -> State:
    """What a start finds that finishes a reset first."""
    flash.restart()
    resume(store(flash))
    operations = flash.operations
    found = (*users_state(flash), *[store(flash).read(kind) for kind in (CONFIG, SECRETS)])
    flash.operations = operations + flash.operations
    return found


def state_of(kind: str) -> Callable[[NorFlash], State]:
    def state(flash: NorFlash) -> State:
        flash.restart()
        return (store(flash).read(kind),)

    return state


def writing(kind: str, payload: bytes) -> Change:
    return lambda flash: store(flash).write(kind, payload)


def flash_after(*changes: Change) -> bytes:
    flash = NorFlash()
    for change in changes:
        change(flash)
    return bytes(flash.content)


def pair_owner(flash: NorFlash) -> None:
    users(flash).add(OWNER, b"owner")


def pair_guest(flash: NorFlash) -> None:
    users(flash).add(GUEST, b"guest")


def remove_guest(flash: NorFlash) -> None:
    users(flash).remove(1)


def close_remote(flash: NorFlash) -> None:
    users(flash).set_settings(0x80000000, 0)


def rename_owner(flash: NorFlash) -> None:
    acl = users(flash)
    if acl.users():
        acl.set_name(0, b"renamed")


def leave_factory(flash: NorFlash) -> None:
    """As delivered: a user of the factory's."""
    pair_owner(flash)
    payload = store(flash).read(USERS)
    assert payload
    store(flash).write(FACTORY, payload)
    store(flash).write(USERS, b"")


def reset(flash: NorFlash) -> None:
    factory_reset(store(flash))


def check(campaign: Campaign) -> None:
    assert campaign.old != campaign.new
    campaign.run()
    assert campaign.found == {campaign.old, campaign.new}


@pytest.mark.parametrize(
    ("before", "change", "step"),
    [
        pytest.param((), pair_owner, 3, id="first user"),
        pytest.param((pair_owner,), pair_guest, 1, id="second user"),
        pytest.param((pair_owner, pair_guest), remove_guest, 17, id="removal"),
        pytest.param((pair_owner,), close_remote, 17, id="settings"),
        pytest.param((leave_factory,), pair_guest, 17, id="first change after the factory"),
    ],
)
def test_a_cut_leaves_the_old_or_the_new_list_of_users(before: tuple[Change, ...], change: Change, step: int) -> None:
    check(Campaign(users_state, change, rename_owner, flash_after(*before), step))


@pytest.mark.parametrize("kind", [SECRETS, CONFIG, FACTORY])
@pytest.mark.parametrize("old", [None, b"old", LONG], ids=["first", "longer", "shorter"])
def test_a_cut_leaves_the_old_or_the_new_record(kind: str, old: bytes | None) -> None:
    before = (writing(kind, old),) if old else ()
    change, another = writing(kind, b"new" * 100), writing(kind, b"another")
    check(Campaign(state_of(kind), change, another, flash_after(*before), 1 if kind == CONFIG else 17))


def test_a_cut_leaves_all_of_a_factory_reset_or_nothing() -> None:
    before = (leave_factory, pair_guest, writing(SECRETS, b"key"), writing(CONFIG, WITH_WIFI))
    campaign = Campaign(whole_state, reset, rename_owner, flash_after(*before), 127, mixtures=3)
    check(campaign)
    assert campaign.new[-2:] == (NO_WIFI, b"key")
    assert [bytes(user)[:16] for user in campaign.new[3:-2]] == [OWNER]  # type: ignore[call-overload]


def test_a_cut_while_a_damaged_list_is_replaced_leaves_it_closed_or_replaced() -> None:
    flash = NorFlash(flash_after(pair_owner))
    for at in (0x4000 + 300, 0x7000 + 300):
        flash.content[at] ^= 0x10
    check(Campaign(users_state, reset, pair_guest, bytes(flash.content), 127, steady=False, mixtures=3))
    with pytest.raises(StorageError):
        store(flash).read(USERS)
