"""Local connections under a pre-shared key with a real device: pairing without anything in clear."""

import pytest
from homeport.client import Client, Profile, Psk
from homeport.errors import NotPaired, RefusedError
from homeport_core.spec import NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID
from processes import KEY, Ports, running

LABEL = bytes(range(0x20, 0x30))  # the pairing secret on the device's label
PAIRING = Psk(bytes(16), LABEL)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    ports = Ports()
    where = ["--controller", f"127.0.0.1:{ports.controller}", "--local-port", ports.local]
    state = tmp_path_factory.mktemp("state")
    options = ["--local-psk", "on", "--label-secret", LABEL.hex()]
    with running(
        "sim", "heat_pump", "--id", "demo", *where, "--state", state, "--", *options,
        until="ready", HOMEPORT_DEVICE_KEY=KEY,
    ):  # fmt: skip
        yield f"demo@127.0.0.1:{ports.local}"


@pytest.fixture
async def client(tmp_path):
    async with Client(Profile.create(tmp_path, "me")) as client:
        yield client


async def test_pairing_over_the_key_of_the_label_is_encrypted(client, target):
    async with await client.connect(target, psk=PAIRING) as device:
        assert device.is_private
        user = await device.pair("me")
        assert await device.current_user() == user
        await device.remove_user(user.fingerprint)


async def test_a_wrong_key_is_refused(client, target):
    with pytest.raises(RefusedError) as caught:
        await client.connect(target, psk=Psk(bytes(16), bytes(16)))
    assert caught.value.code == NOTIFY_BAD_KEY


async def test_an_unknown_key_is_refused(client, target):
    with pytest.raises(RefusedError) as caught:
        await client.connect(target, psk=Psk(bytes([7]) * 16, LABEL))
    assert caught.value.code == NOTIFY_BAD_KEY_ID


async def test_whoever_has_only_the_label_is_not_paired(client, target):
    async with await client.connect(target, psk=PAIRING) as device:
        with pytest.raises(NotPaired):
            await device.current_user()
