"""What the machines report reaches the log, the records and the gate, and strangers fill none of them."""

import json
from io import StringIO

import pytest
from homeport.basestation.carrier import TCP, Carrier
from homeport.basestation.events import (
    AttachFailed,
    AttachFailure,
    CarrierDone,
    CarrierRefused,
    CarriersJoined,
    Connected,
    ConnectRefused,
    DeviceAttached,
    DeviceEvent,
    DeviceLost,
    InviteRefused,
    Refusal,
    RelayBound,
    SessionClosed,
)
from homeport.basestation.inventory.inventory import Changes
from homeport.basestation.inventory.records import Batch
from homeport.basestation.inventory.roster import Roster
from homeport.basestation.log import JsonLog
from homeport.basestation.notices import Notices

ID = b"dev1"
ADDRESS = ("198.51.100.7", 40000)
NSI = b"\x00\x01\xe2\x40"
KEY = bytes(range(96))
ROW = (ID, NSI, bytes(6), KEY, bytes(15), bytes(16))
CONNECTED = Connected(1, ID, NSI, KEY, bytes(6), bytes(6), 0, 0, 0)
REFUSED = ConnectRefused(2, ID, 0x8007, "offline")
EVERY = [
    InviteRefused("dev1", ADDRESS, Refusal.DISABLED),
    AttachFailed(ID, ADDRESS, AttachFailure.UNVERIFIED),
    DeviceAttached(ID, ADDRESS, None, 7, "4.6.0", "heat pump"),
    DeviceLost(ID, ADDRESS, "silent"),
    DeviceEvent(ID, b"event"),
    RelayBound(ID, NSI, ADDRESS),
    SessionClosed(ID, NSI, "silent"),
]


class NotedGate:
    def __init__(self):
        self.answers = []

    def connected(self, event):
        self.answers.append(event)

    refused = connected


class NotedGateway:
    def __init__(self):
        self.told = []

    def joined(self, device, client):
        self.told.append(("joined", device, client))

    def refused(self, carrier, reason):
        self.told.append(("refused", carrier, reason))

    def done(self, carrier):
        self.told.append(("done", carrier))


class World:
    def __init__(self):
        self.stream = StringIO()
        self.gateway = NotedGateway()
        self.batch = Batch()
        self.gate = NotedGate()
        roster = Roster()
        roster.apply(Changes(1, True, {ID: (bytes(16), True)}))
        self.notices = Notices(JsonLog(self.stream), self, roster, self, self.gate, self.gateway)

    def row(self, device_id):
        return ROW if device_id == ID else None

    def lines(self):
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_every_report_is_one_line_that_names_the_device(world, event):
    world.notices(event)
    (line,) = world.lines()
    assert line["device"] == "dev1"
    assert line["event"]
    assert line["time"]


@pytest.mark.parametrize("event", [CONNECTED, REFUSED])
def test_answers_go_to_the_gate_which_logs_them(world, event):
    world.notices(event)
    assert world.gate.answers == [event]
    assert world.lines() == []


def test_an_attachment_is_recorded_with_its_row_but_without_its_key_in_the_log(world):
    world.notices(EVERY[2])
    assert world.batch.attachments == {ID: ROW}
    assert world.batch.sightings[ID]["endpoint"] == "198.51.100.7:40000"
    assert KEY.hex() not in world.stream.getvalue()


def test_a_lost_attachment_is_recorded(world):
    world.notices(EVERY[2])
    world.notices(EVERY[3])
    assert world.batch.attachments == {ID: None}
    assert world.batch.sightings[ID]["lost_at_s"] is not None


@pytest.mark.parametrize(
    ("event", "refusal"),
    [
        (EVERY[0], "the device is disabled"),
        (EVERY[1], "the answer to U_ATTACH does not verify under the registered key"),
        (AttachFailed(ID, ADDRESS, AttachFailure.REPORTED, 9), "wrong key: the device could not verify"),
        (AttachFailed(ID, ADDRESS, AttachFailure.REPORTED, 5), "it could not attach (status 5)"),
    ],
)
def test_a_refusal_is_recorded_in_words(world, event, refusal):
    world.notices(event)
    assert refusal in world.batch.sightings[ID]["refusal"]


def test_strangers_are_logged_but_not_recorded(world):
    world.notices(InviteRefused("stranger", ADDRESS, Refusal.UNKNOWN))
    world.notices(DeviceLost(b"gone", ADDRESS, "removed"))
    assert [line["device"] for line in world.lines()] == ["stranger", "gone"]
    assert not world.batch


def test_text_of_a_peer_is_printable_and_cut_in_the_log(world):
    world.notices(DeviceAttached(ID, ADDRESS, None, 0, "\x1b[2J\n" + "v" * 5000, "\u202e"))
    (line,) = world.lines()
    assert len(line["stack"]) < 400
    assert "\x1b" not in line["stack"] + line["application"]
    assert "\u202e" not in line["application"]


def test_what_the_session_server_decides_about_connections_goes_to_the_gateway(world):
    device, client = (Carrier(TCP, number, ("192.0.2.7", number)) for number in (1, 2))
    for event in (CarriersJoined(device, client), CarrierRefused(client, "no gateway id"), CarrierDone(device)):
        world.notices(event)
    assert world.gateway.told == [("joined", device, client), ("refused", client, "no gateway id"), ("done", device)]


def test_an_attachment_over_tcp_is_recorded_as_such_and_not_kept_for_a_restart(world):
    world.row = lambda device_id: None
    world.notices(DeviceAttached(ID, Carrier(TCP, 1, ("192.0.2.7", 4711)), None, 0, "4.6.0", "app"))
    assert world.batch.attachments[ID] is None
    assert world.batch.sightings[ID]["endpoint"] == "tcp 192.0.2.7:4711"
    assert world.lines()[0]["address"] == "tcp 192.0.2.7:4711"
