"""`homeport events` with a device on the local network that keeps some, and with one that keeps none."""

import pytest
from processes import CommandLine, Ports, device, only_error_line


@pytest.fixture
def command(tmp_path):
    opened = CommandLine(tmp_path / "home")
    opened.answer("profile", "create", "me", "--no-password")
    return opened


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_an_owner_reads_events_page_after_page(tmp_path, command, runtime):
    ports = Ports()
    with device(ports, tmp_path / "state", "--event-ring", "8", runtime=runtime):
        target = f"demo@127.0.0.1:{ports.local}"
        command.answer("pair", target, "--user-name", "a phone with rather a long name")
        for number in range(7):
            fingerprint = f"{number + 1:032x}"
            command.answer("acl", target, "add", fingerprint, "--name", f"somebody with quite a long name {number}")
        found = command.answer("events", target)
        assert found["lost"] > 0
        told = [event["text"] for event in found["events"]]
        assert told == ["user added: a phone with rather a long name"] + [
            f"user added: somebody with quite a long name {number}" for number in range(7)
        ]
        assert {event["kind"] for event in found["events"]} == {"person"}
        assert (found["unix_time"], found["users_written"], found["reset_cause"]) == (None, 0, "unknown")
        assert (found["free_memory"] is None) == (runtime == "cpython")
        people = command.run("events", target).stdout.splitlines()
        assert "older events not kept" in people[0]
        assert people[1].startswith("+0:00:")


def test_a_guest_may_not_read_them(tmp_path, command):
    ports = Ports()
    guest = CommandLine(tmp_path / "guest")
    guest.answer("profile", "create", "guest", "--no-password")
    with device(ports, tmp_path / "state", "--event-ring", "8"):
        target = f"demo@127.0.0.1:{ports.local}"
        command.answer("pair", target)
        guest.answer("pair", target)
        refused = guest.run("events", target)
        assert refused.returncode == 5
        only_error_line(refused)


def test_a_device_that_keeps_none_is_named_so(tmp_path, command):
    ports = Ports()
    with device(ports, tmp_path / "state"):
        target = f"demo@127.0.0.1:{ports.local}"
        command.answer("pair", target)
        refused = command.run("events", target)
        assert refused.returncode == 5
        assert "keeps no events" in only_error_line(refused)
