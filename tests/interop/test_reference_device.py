"""A device that behaves as the reference does, quirks included, registered at a real basestation and called by the
real command line and client over every path."""

import asyncio
import json

import pytest
from basestation_process import BasestationProcess, until
from homeport.client import Client, Profile, Psk
from homeport.errors import RefusedError
from homeport_core.spec import NOTIFY_BAD_KEY_ID
from processes import KEY, CommandLine, Ports, only_error_line
from reference_device import Lamp, ReferenceDevice

DEVICE_ID = "dev1.example.net"
KEY_ID = bytes(range(0x40, 0x50))
PSK = bytes(range(0x60, 0x70))
XML = """<unabto_queries>
<query name="light_write.json" id="1">
  <request><parameter name="light_id" type="uint8"/><parameter name="light_on" type="uint8"/></request>
  <response format="json"><parameter name="light_state" type="uint8"/></response></query>
<query name="light_read.json" id="2">
  <request><parameter name="light_id" type="uint8"/></request>
  <response format="json"><parameter name="light_state" type="uint8"/></response></query>
<query name="slow.json" id="3"><request/>
  <response format="json"><parameter name="light_state" type="uint8"/></response></query>
<query name="missing.json" id="4"><request/><response format="json"/></query>
</unabto_queries>"""
PATHS = ("local", "direct", "relay")
# With a fingerprint, all that fits the 272 octets that the device receives.
LONG_NAME = "a-profile-whose-name-has-fifty-nine-letters-all-that-will-fit"[:59]


class World:
    """A basestation, the device, and clients of both."""

    def __init__(self, path):
        self.path = path
        self.ports = Ports()
        self.root = path / "var"
        nobody = CommandLine(path / "nobody")
        self.pin = nobody.answer("basestation", "init", self.root)["pin"]
        nobody.answer("device", "add", DEVICE_ID, "--key", KEY, "--dir", self.root)
        self.interface = path / "light.xml"
        self.interface.write_text(XML)
        self.begin()
        self.lamp = Lamp()
        self.device = ReferenceDevice(
            DEVICE_ID, bytes.fromhex(KEY), self.basestation.address("controller"), self.lamp.answer, self.lamp.allow,
            {KEY_ID: PSK},
        ).start()  # fmt: skip
        until(lambda: self.device.alive, "the first alive request")

    def begin(self):
        where = {name: f"127.0.0.1:{getattr(self.ports, name)}" for name in ("controller", "gsp", "gate", "admin")}
        self.basestation = BasestationProcess(self.root, **where)

    def end(self):
        self.device.stop()
        self.basestation.stop()

    def client(self, name, profile="me"):
        client = CommandLine(self.path / name)
        where = ["--basestation", f"127.0.0.1:{self.ports.gate}", "--pin", self.pin]
        client.answer("profile", "create", profile, "--no-password", *where)
        return client

    def target(self, path):
        """(device, options) that make a command take `path`."""
        if path == "local":
            return (f"{DEVICE_ID}@127.0.0.1:{self.device.local_port}",)
        return (DEVICE_ID, "--path", path)

    def call(self, client, path, query, *values, run=False):
        target, *options = self.target(path)
        return (client.run if run else client.answer)(
            "call", target, query, *values, *options, "--interface", self.interface
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("reference"))
    yield world
    world.end()


@pytest.fixture(scope="module")
def owner(world):
    owner = world.client("owner")
    owner.answer("pair", f"{DEVICE_ID}@127.0.0.1:{world.device.local_port}", "--user-name", "phone")
    assert b"phone" in world.lamp.users.values()
    return owner


def library(owner):
    """The client library with the owner's profile."""
    return Client(Profile.load(owner.home, "me"), owner.home)


def test_it_is_attached_and_the_operator_sees_its_versions(world):
    (attached, *_) = world.basestation.lines("device_attached")
    assert attached["device"] == DEVICE_ID
    assert "4.6.0-alpha.0" in attached.values()


def test_under_a_wrong_key_its_own_report_tells_the_operator(world):
    CommandLine(world.path / "nobody").answer("device", "add", "other", "--key", KEY, "--dir", world.root)
    where = world.basestation.address("controller")
    other = ReferenceDevice("other", bytes(16), where, world.lamp.answer).start()
    try:
        failed = until(lambda: world.basestation.lines("attach_failed"), "a report")
    finally:
        other.stop()
    assert failed[0]["device"] == "other"
    assert "key" in failed[0]["reason"]
    assert other.attaches == 0


def test_alive_requests_count_from_one(world):
    assert world.device.alive[0] == 1


@pytest.mark.parametrize("path", PATHS)
def test_it_is_called_over_each_path_and_octets_behind_the_answer_do_no_harm(world, owner, path):
    written = world.call(owner, path, "light_write", "light_id=1", "light_on=1")
    read = world.call(owner, path, "light_read", "light_id=1")
    assert (written["path"], read["path"]) == (path, path)
    assert (written["result"], read["result"]) == ({"light_state": 1}, {"light_state": 1})


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_comes_later_is_waited_for(world, owner, path):
    assert world.call(owner, path, "slow")["result"] == {"light_state": 1}


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_query_is_its_exception_11(world, owner, path):
    done = world.call(owner, path, "missing", run=True)
    assert "does not know this query" in only_error_line(done)


@pytest.mark.parametrize("path", PATHS)
def test_the_status_of_a_device_without_common_queries_is_its_path(world, owner, path):
    world.lamp.is_bare = True
    try:
        target, *options = world.target(path)
        status = owner.answer("status", target, *options)
    finally:
        world.lamp.is_bare = False
    assert (status["path"], status["user"], "device_name" in status) == (path, None, False)


@pytest.mark.parametrize("path", PATHS)
def test_a_device_that_never_acknowledges_runs_a_query_once(world, owner, path):
    world.device.acknowledges = False
    before = world.device.runs.count(2)
    try:
        world.call(owner, path, "light_read", "light_id=1")
    finally:
        world.device.acknowledges = True
    assert world.device.runs.count(2) == before + 1


@pytest.mark.parametrize("path", ["direct", "relay"])
def test_whom_its_access_list_does_not_know_is_told_to_pair(world, path):
    stranger = world.client(f"stranger-{path}")
    done = world.call(stranger, path, "light_read", "light_id=1", run=True)
    assert done.returncode == 5
    assert "homeport pair" in only_error_line(done)


def test_the_longest_name_of_a_client_arrives_whole(world):
    client = world.client("long", LONG_NAME)
    client.answer("pair", f"{DEVICE_ID}@127.0.0.1:{world.device.local_port}")
    assert world.call(client, "relay", "light_read", "light_id=1")["path"] == "relay"
    assert world.device.names[-1] == LONG_NAME.encode()


def test_its_discovery_with_stray_octets_is_read(world, owner):
    (found,) = owner.answer("discover", "--address", f"127.0.0.1:{world.device.local_port}")["devices"]
    assert json.dumps(found).count(DEVICE_ID) == 1


def test_its_poll_is_answered_with_a_request_that_fetches_its_event(world):
    def polled():
        world.device.poll()
        return len(world.basestation.lines("device_event")) > before

    before = len(world.basestation.lines("device_event"))
    world.device.event = b"1:L:37\nEOM\n"
    until(polled, "the event")
    assert 0 not in world.device.alive


async def test_its_psk_handshake_without_random_numbers_is_accepted(world, owner):
    async with library(owner) as client:
        (target,) = world.target("local")
        async with await client.connect(target, psk=Psk(KEY_ID, PSK)) as device:
            assert device.is_private
            assert (await device.current_user()).name == "phone"
        with pytest.raises(RefusedError) as caught:
            await client.connect(target, psk=Psk(bytes(16), PSK))
    assert caught.value.code == NOTIFY_BAD_KEY_ID


@pytest.mark.parametrize("path", ["direct", "relay"])
async def test_a_connection_outlives_a_new_attach_from_another_port(world, owner, path):
    async with library(owner) as client, await client.connect(DEVICE_ID, path) as device:
        await device.current_user()
        attaches = world.device.attaches
        world.device.reattach(fresh_port=path == "relay")
        await asyncio.to_thread(until, lambda: world.device.attaches > attaches, "another attach")
        await asyncio.to_thread(until, lambda: world.device.alive[-1] == 1, "its first alive request")
        assert (await device.current_user()).name == "phone"
        assert str(device.path) == path


def test_a_basestation_that_restarts_still_knows_it(world, owner):
    attaches = world.device.attaches
    world.basestation.stop()
    heard = len(world.device.alive)
    world.begin()
    until(lambda: len(world.device.alive) > heard, "an alive request of the new process")
    assert world.call(owner, "relay", "light_read", "light_id=1")["path"] == "relay"
    assert world.device.attaches == attaches
