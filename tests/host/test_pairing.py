"""Pairing and changing keys when not everything goes well: no key is lost, none is believed too early."""

import pytest
from homeport.client.acl import User
from homeport.client.keys import LABEL_KEY_ID, Psk
from homeport.client.pairing import pair, remove_key, remove_user, renew_key
from homeport.client.profile import Profile
from homeport.errors import DeviceOffline, NotEndToEnd, NotPaired, RefusedError, StateError, Timeout
from homeport_core.spec import (
    AER_INV_QUERY_ID,
    AER_NO_ACCESS,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
)

ID = "demo"
TARGET = f"{ID}@192.0.2.1"
LABEL = Psk(LABEL_KEY_ID, bytes(range(16)))
USER = User(b"\x01" * 16, "me", 0xE0000000)


class FakeDevice:
    """An open connection; what its queries do is told by `told`: an error to raise, or a function."""

    def __init__(self, client, psk, told):
        self.id = ID
        self.profile = client.profile
        self.is_private = psk is not None
        self.end_to_end = psk is not None
        self.told = told
        self.client = client

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def call(self, query):
        assert query == "get_public_device_info"
        return {"is_current_user_paired": 0}

    async def pair(self, name):
        self.client.log.append("pair")
        return USER

    async def current_user(self):
        return USER

    async def pair_with_key(self, name, psk):
        self._tell("pair_with_key")
        self.client.device_key = psk
        return USER

    async def set_my_key(self, psk):
        self._tell("set_my_key")
        self.client.device_key = psk

    async def remove_user(self, fingerprint):
        self.client.log.append("remove_user")

    def _tell(self, query):
        self.client.log.append(query)
        if self.told is not None:
            raise self.told


class FakeClient:
    """A client whose device knows `device_key` and the label; `refuses` is what a connect is refused with."""

    def __init__(self, profile, told=None, refuses=None):
        self.profile = profile
        self.told = told
        self.refuses = refuses
        self.device_key = None
        self.log = []

    async def connect(self, target, path, psk=None):
        assert (target, path) == (TARGET, "local")
        keys = self.profile.keys.of(ID)
        if psk is not None:
            if self.refuses is not None:
                raise self.refuses
            return FakeDevice(self, psk, self.told)
        if keys and self.device_key not in keys:
            raise NotEndToEnd("the device does not know this client's end-to-end key", NOTIFY_BAD_KEY_ID)
        return FakeDevice(self, keys[0] if keys else None, self.told)


@pytest.fixture
def profile(tmp_path):
    return Profile.create(tmp_path, "me")


async def test_by_a_label_the_key_is_kept_here_and_there(profile):
    client = FakeClient(profile)
    pairing = await pair(client, TARGET, "me", LABEL)
    assert (pairing.end_to_end, pairing.encrypted, pairing.was_known) == (True, True, False)
    assert profile.keys.of(ID) == [client.device_key]


async def test_in_clear_no_key_is_sent(profile):
    client = FakeClient(profile)
    pairing = await pair(client, TARGET, "me")
    assert (pairing.end_to_end, pairing.encrypted) == (False, False)
    assert client.log == ["pair"]
    assert profile.keys.of(ID) == []


@pytest.mark.parametrize("error", [Timeout("no answer"), DeviceOffline("gone")])
async def test_when_the_answer_is_lost_the_key_is_kept_for_the_next_attempt(profile, error):
    client = FakeClient(profile, told=error)
    with pytest.raises(type(error)):
        await pair(client, TARGET, "me", LABEL)
    (client.device_key,) = profile.keys.of(ID)  # the device had it after all
    client.told = None
    pairing = await pair(client, TARGET, "me", LABEL)
    assert (pairing.was_known, pairing.end_to_end) == (True, True)
    assert client.log == ["pair_with_key"]


async def test_when_the_device_never_got_it_another_is_drawn(profile):
    client = FakeClient(profile, told=Timeout("no answer"))
    with pytest.raises(Timeout):
        await pair(client, TARGET, "me", LABEL)
    lost = profile.keys.of(ID)
    client.told = None
    assert (await pair(client, TARGET, "me", LABEL)).end_to_end
    assert profile.keys.of(ID) == [client.device_key] != lost


async def test_a_device_that_refuses_the_key_leaves_none_behind(profile):
    client = FakeClient(profile, told=RefusedError("no", AER_NO_ACCESS))
    with pytest.raises(RefusedError):
        await pair(client, TARGET, "me", LABEL)
    assert profile.keys.of(ID) == []
    assert client.log == ["pair_with_key"]


async def test_older_firmware_is_paired_without_a_key_and_it_says_so(profile):
    client = FakeClient(profile, told=RefusedError("no such query", AER_INV_QUERY_ID))
    pairing = await pair(client, TARGET, "me", LABEL)
    assert (pairing.end_to_end, pairing.encrypted) == (False, True)
    assert "firmware" in pairing.reason
    assert client.log == ["pair_with_key", "pair"]
    assert profile.keys.of(ID) == []


async def test_older_firmware_is_not_paired_where_a_key_is_required(tmp_path):
    profile = Profile.create(tmp_path, "strict", require_end_to_end=True)
    client = FakeClient(profile, told=RefusedError("no such query", AER_INV_QUERY_ID))
    with pytest.raises(RefusedError):
        await pair(client, TARGET, "me", LABEL)
    assert client.log == ["pair_with_key"]


async def test_a_device_that_lost_its_key_is_not_paired_in_clear(profile):
    profile.keys.settle(ID, Psk.draw())
    client = FakeClient(profile)
    with pytest.raises(NotEndToEnd):
        await pair(client, TARGET, "me")
    assert client.log == []


async def test_a_failed_new_pairing_leaves_the_old_key(profile):
    old = Psk.draw()
    profile.keys.settle(ID, old)
    client = FakeClient(profile, refuses=RefusedError("wrong", NOTIFY_BAD_KEY))
    with pytest.raises(RefusedError):
        await pair(client, TARGET, "me", LABEL)
    assert profile.keys.of(ID) == [old]


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        (RefusedError("x", NOTIFY_BAD_KEY), RefusedError, "not the one of this device's label"),
        (RefusedError("x", NOTIFY_BAD_KEY_ID), NotPaired, "not open for pairing"),
        (NotPaired("x", NOTIFY_CP_ACCESS), NotPaired, "knows this client already"),
        (RefusedError("busy", NOTIFY_BUSY_MICRO), RefusedError, "busy"),
    ],
)
async def test_what_is_wrong_with_a_label_is_said(profile, refusal, kind, words):
    with pytest.raises(kind, match=words):
        await pair(FakeClient(profile, refuses=refusal), TARGET, "me", LABEL)
    assert profile.keys.of(ID) == []


# Keys of open connections


def keyed(profile, told=None):
    old = Psk.draw()
    profile.keys.settle(ID, old)
    client = FakeClient(profile)
    client.device_key = old
    return client, FakeDevice(client, old, told), old


async def test_a_renewed_key_replaces_the_old_one(profile):
    client, device, old = keyed(profile)
    await renew_key(device)
    assert profile.keys.of(ID) == [client.device_key]
    assert client.device_key != old


async def test_a_renewal_whose_answer_is_lost_keeps_both(profile):
    _, device, old = keyed(profile, Timeout("no answer"))
    with pytest.raises(Timeout):
        await renew_key(device)
    assert profile.keys.of(ID)[0] == old
    assert len(profile.keys.of(ID)) == 2


async def test_a_refused_renewal_keeps_the_old_one(profile):
    _, device, old = keyed(profile, RefusedError("no", AER_NO_ACCESS))
    with pytest.raises(RefusedError):
        await renew_key(device)
    assert profile.keys.of(ID) == [old]


async def test_a_key_is_given_up_here_only_when_the_device_has(profile):
    _, device, old = keyed(profile, Timeout("no answer"))
    with pytest.raises(Timeout):
        await remove_key(device)
    assert profile.keys.of(ID) == [old]
    device.told = None
    await remove_key(device)
    assert profile.keys.of(ID) == []


async def test_a_connection_without_a_key_has_none_to_change(profile):
    device = FakeDevice(FakeClient(profile), None, None)
    for change in (renew_key, remove_key):
        with pytest.raises(NotEndToEnd):
            await change(device)
    device.profile = None
    with pytest.raises(StateError):
        await renew_key(device)


async def test_only_who_removes_themselves_forgets_the_key(profile):
    _, device, old = keyed(profile)
    await remove_user(device, b"\x02" * 16)
    assert profile.keys.of(ID) == [old]
    await remove_user(device, profile.fingerprint)
    assert profile.keys.of(ID) == []
