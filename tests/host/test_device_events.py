"""A device's events as a client reads them: page after page, and never without an end."""

import asyncio

import pytest
from homeport.client.health import KINDS, RESET_CAUSES, DeviceEvent, HealthCalls
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.query import Parameter
from homeport.errors import MalformedError, RefusedError
from homeport_core.spec import AER_INV_QUERY_ID, AER_NO_ACCESS
from homeport_device import hardware_common, health, log

NOW_S = 1_800_000_000


def page(first, events, following=0, **other):
    return {
        "uptime": 100, "unix_time": NOW_S, "reset_cause": 3, "faults": 2, "free_memory": 5000, "users_written": 7,
        "first": first, "events": events, "next": following, **other,
    }  # fmt: skip


def event(uptime, kind, text):
    return {"uptime": uptime, "kind": kind, "text": text}


class Told(HealthCalls):
    """A device that answers what it was told to, by `start`."""

    def __init__(self, pages):
        self.pages = pages
        self.asked = []

    async def call(self, query, /, **params):
        assert query == "get_device_events.json"
        self.asked.append(params["start"])
        answer = self.pages[params["start"]] if isinstance(self.pages, dict) else self.pages(params["start"])
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_pages_are_put_together():
    device = Told({0: page(5, [event(1, 0, "a"), event(2, 1, "b")], 7), 7: page(7, [event(3, 2, "c")])})
    found = asyncio.run(device.health())
    assert found.events == [DeviceEvent(1, "start", "a"), DeviceEvent(2, "fault", "b"), DeviceEvent(3, "network", "c")]
    assert (device.asked, found.lost) == ([0, 7], 5)
    assert (found.reset_cause, found.faults, found.free_memory, found.users_written) == ("watchdog", 2, 5000, 7)


def test_an_event_s_time_follows_from_the_device_s_own_clock():
    found = asyncio.run(Told({0: page(0, [event(40, 0, "a")])}).health())
    assert found.unix_time_of(found.events[0]) == NOW_S - 60


def test_without_the_time_there_is_none():
    found = asyncio.run(Told({0: page(0, [event(40, 0, "a")], unix_time=0, free_memory=0)}).health())
    assert (found.unix_s, found.unix_time_of(found.events[0]), found.free_memory) == (None, None, None)


def test_unknown_kinds_and_causes_are_numbers():
    found = asyncio.run(Told({0: page(0, [event(1, 99, "x")], reset_cause=77)}).health())
    assert (found.events[0].kind, found.reset_cause) == ("99", "77")


@pytest.mark.parametrize("following", [1, 3])
def test_a_list_that_does_not_advance_is_refused(following):
    device = Told(lambda start: page(3, [event(1, 0, "a")], following))
    with pytest.raises(MalformedError):
        asyncio.run(device.health())


def test_a_list_without_end_is_refused():
    device = Told(lambda start: page(start, [event(1, 0, "a")] * 10, start + 10))
    with pytest.raises(MalformedError):
        asyncio.run(device.health())
    assert len(device.asked) <= 102


def test_a_device_without_events_says_so():
    device = Told({0: RefusedError("no such query", AER_INV_QUERY_ID)})
    with pytest.raises(RefusedError, match="keeps no events"):
        asyncio.run(device.health())


def test_who_may_not_ask_is_told_that():
    device = Told({0: RefusedError("no access", AER_NO_ACCESS)})
    with pytest.raises(RefusedError, match="no access"):
        asyncio.run(device.health())


def declared(fields):
    """A client's description in the device's words."""
    return tuple(
        (field.name, field.type if isinstance(field, Parameter) else declared(field.fields)) for field in fields
    )


def test_client_and_device_describe_the_query_alike():
    query = BUILTIN.query("get_device_events")
    assert query.id == health.QUERY_ID
    assert declared(query.response) == health._RESULT


def test_client_and_device_number_kinds_and_causes_alike():
    assert [getattr(log, kind.upper()) for kind in KINDS] == list(range(len(KINDS)))
    causes = [cause.upper().replace(" ", "_").replace("RESET_PIN", "HARD") for cause in RESET_CAUSES]
    numbers = [getattr(hardware_common, cause.replace("SOFTWARE", "SOFT")) for cause in causes]
    assert numbers == list(range(len(RESET_CAUSES)))
