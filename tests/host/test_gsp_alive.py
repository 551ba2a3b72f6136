"""Keep-alive: rounds, repeats, polls, loss, event data, and a restart."""

from gsp_peers import Device, attach, drain, exchange, make_gsp, make_rng, opened
from homeport.basestation.events import DeviceEvent, DeviceLost
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import GspSettings
from homeport_core.packet import encode
from homeport_core.payloads import build_notify, parse_time
from homeport_core.spec import FL_EXCEPTION, FL_RESPONSE, NOTIFY_ERROR, NOTIFY_OK, PL_NOTIFY, PL_TIME, PT_U_ALIVE


def attached(**settings):
    device = Device()
    gsp, inventory = make_gsp(device.device_id, **settings)
    out = attach(gsp, device)
    drain(gsp)
    return gsp, device, out, inventory


def run(gsp, device, until_ms, since_ms=0, answers=True):
    """Let time pass; returns [(time in ms, sequence number)] of the requests sent."""
    sent = []
    for now_ms in range(since_ms, until_ms + 1, 100):
        datagrams = gsp.timeout(now_ms) if gsp.deadline_ms is not None and gsp.deadline_ms <= now_ms else []
        sent += [(now_ms, opened(packet).seq) for packet, _ in datagrams if packet[8] == PT_U_ALIVE]
        if answers:
            exchange(gsp, device, datagrams, now_ms)
    return sent


def test_an_answered_round_is_followed_by_the_next_after_ten_seconds():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    assert run(gsp, device, 35_000) == [(10_000, 2), (20_000, 3), (30_000, 4)]


def test_an_unanswered_round_is_repeated_after_two_and_four_seconds():
    gsp, device, _, _ = attached()
    assert run(gsp, device, 12_500, answers=False) == [(2_000, 1), (4_000, 1), (10_000, 2), (12_000, 2)]


def test_a_silent_device_is_dropped_after_sixty_seconds():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    run(gsp, device, 59_000, answers=False)
    assert gsp.attached == 1
    run(gsp, device, 61_000, since_ms=59_100, answers=False)
    assert gsp.attached == 0
    assert drain(gsp) == [DeviceLost(device.device_id, device.address, "silent")]
    assert gsp.deadline_ms is None


def test_one_answer_within_a_minute_keeps_a_device():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    run(gsp, device, 49_000, answers=False)
    run(gsp, device, 51_000, since_ms=49_100)
    run(gsp, device, 109_000, since_ms=51_100, answers=False)
    assert gsp.attached == 1


def test_a_basestation_that_was_asleep_itself_loses_nobody():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    gsp.timeout(10_000)
    exchange(gsp, device, gsp.timeout(600_000), 600_000)
    run(gsp, device, 700_000, since_ms=600_100)
    assert gsp.attached == 1


def test_a_poll_is_answered_at_once_with_the_round_that_is_open():
    gsp, device, _, _ = attached()
    run(gsp, device, 13_000, answers=False)
    ((packet, to),) = gsp.datagram(13_000, device.poll(), device.address)
    assert (opened(packet).seq, opened(packet).flags, to) == (2, 0, device.address)


def test_a_poll_after_an_answered_round_begins_a_new_one():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    ((packet, _),) = gsp.datagram(5_000, device.poll(), device.address)
    assert opened(packet).seq == 2


def test_the_answer_to_a_poll_is_not_larger_than_the_poll_and_not_more_frequent_than_one_a_second():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    gsp.set_unix_offset(1_700_000_000_000)
    answers = [gsp.datagram(now_ms, device.poll(), device.address) for now_ms in range(1_000, 3_000, 10)]
    sent = [packet for datagrams in answers for packet, _ in datagrams]
    assert len(sent) == 2
    assert all(len(packet) <= len(device.poll()) for packet in sent)


def test_a_poll_is_not_an_answer_to_the_open_round():
    gsp, device, _, _ = attached()
    gsp.datagram(500, device.poll(), device.address)
    assert run(gsp, device, 5_000, answers=False) == [(2_000, 1), (4_000, 1)]


def test_polls_alone_keep_a_device_attached():
    gsp, device, _, _ = attached()
    for now_ms in range(0, 200_000, 13_000):
        run(gsp, device, now_ms + 12_900, since_ms=now_ms, answers=False)
        gsp.datagram(now_ms + 12_900, device.poll(), device.address)
    assert gsp.attached == 1


def test_an_answer_from_another_source_is_ignored():
    gsp, device, ((request, _),), _ = attached()
    (answer,) = device.take(request)
    for source in (("198.51.100.8", 40000), ("198.51.100.7", 40001)):
        assert not gsp.datagram(100, answer, source)
        assert not gsp.datagram(100, device.poll(), source)
    assert gsp.counters.drop_source == 4
    assert run(gsp, device, 2_000, answers=False) == [(2_000, 1)]


def test_an_answer_with_an_unknown_nsi_is_ignored():
    gsp, device, _, _ = attached()
    device.nsi = b"\x11\x22\x33\x44"
    assert not gsp.datagram(100, device.poll(), device.address)
    assert gsp.counters.drop_unknown_nsi == 1


def test_a_request_or_a_refusal_is_no_answer():
    gsp, device, ((request, _),), _ = attached()
    assert not gsp.datagram(100, request, device.address)
    for code, flags in ((NOTIFY_ERROR, FL_RESPONSE), (NOTIFY_OK, 0), (NOTIFY_OK, FL_RESPONSE | FL_EXCEPTION)):
        notify = ((PL_NOTIFY, build_notify(code)),)
        assert not gsp.datagram(100, encode(PT_U_ALIVE, notify, sp=device.nsi, seq=1, flags=flags), device.address)
    assert run(gsp, device, 2_000, answers=False) == [(2_000, 1)]


def test_a_device_whose_attach_answer_was_lost_is_not_answered():
    """Core 9.4: it believes it is attached and polls with the NSI of the handshake; we lack its seed."""
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    ((packet, _),) = gsp.datagram(0, device.invite(), device.address)
    device.take(packet)
    for now_ms in (13_000, 26_000, 39_000, 52_000):
        assert not gsp.datagram(now_ms, device.poll(), device.address)
    device.restart()
    device.address = (device.address[0], 41_000)
    attach(gsp, device, 65_000)
    assert gsp.attached == 1


def test_sequence_numbers_skip_zero_when_they_wrap():
    gsp, device, out, _ = attached()
    exchange(gsp, device, out)
    gsp.attachment(device.device_id).seq = 0xFFFE
    assert [seq for _, seq in run(gsp, device, 25_000)] == [0xFFFF, 1]


def test_requests_carry_the_time_when_it_is_known():
    gsp, device, _, _ = attached()
    gsp.set_unix_offset(1_700_000_000_000)
    ((packet, _),) = gsp.timeout(2_000)
    assert parse_time(opened(packet).get(PL_TIME))[0] == 1_700_000_002


def test_requests_carry_no_time_when_it_is_not_known():
    _, _, ((packet, _),), _ = attached()
    assert opened(packet).get(PL_TIME) is None


def test_event_data_is_reported_once_per_round():
    gsp, device, ((request, _),), _ = attached()
    device.event = b"1:L:hello\nEOM\n"
    (answer,) = device.take(request)
    for _ in range(3):
        gsp.datagram(100, answer, device.address)
    assert drain(gsp) == [DeviceEvent(device.device_id, b"1:L:hello\nEOM\n")]


def test_the_rounds_of_a_replaced_attachment_end():
    gsp, device, _, _ = attached()
    device.restart()
    exchange(gsp, device, attach(gsp, device, 1_000), 1_000)
    assert [now_ms for now_ms, _ in run(gsp, device, 31_500, since_ms=1_000)] == [11_000, 21_000, 31_000]


def restarted(gsp, inventory, now_ms, **settings):
    again = Gsp(GspSettings(**settings), inventory, make_rng(77))
    again.restore(now_ms, gsp.snapshot())
    return again


def test_a_restored_gsp_asks_its_devices_at_once_and_they_stay_attached():
    gsp, device, _, inventory = attached()
    again = restarted(gsp, inventory, 5_000)
    assert (again.attached, again.counters.restored) == (1, 1)
    assert again.deadline_ms <= 5_000
    ((packet, to),) = again.timeout(5_000)
    assert (opened(packet).type, opened(packet).sp, to) == (PT_U_ALIVE, device.nsi, device.address)
    exchange(again, device, ((packet, to),), 5_000)
    run(again, device, 100_000, since_ms=5_100)
    assert again.attached == 1


def test_a_restored_device_that_has_gone_is_dropped():
    gsp, device, _, inventory = attached()
    again = restarted(gsp, inventory, 0)
    run(again, device, 62_000, answers=False)
    assert again.attached == 0


def test_a_restored_attachment_has_its_keys_and_facts():
    gsp, device, _, inventory = attached()
    before, after = gsp.attachment(device.device_id), restarted(gsp, inventory, 0).attachment(device.device_id)
    for field in ("device_id", "nsi", "address", "key", "facts"):
        assert getattr(before, field) == getattr(after, field)


def test_devices_that_are_gone_disabled_or_have_a_new_key_are_not_restored():
    devices = [Device(b"dev%d" % n, address=("198.51.100.%d" % n, 1), seed=n) for n in range(4)]
    gsp, inventory = make_gsp(*(device.device_id for device in devices))
    for device in devices:
        attach(gsp, device)
    rows = gsp.snapshot()
    del inventory[b"dev0"]
    inventory.provision(b"dev1", enabled=False)
    inventory.provision(b"dev2", psk=b"\x01" * 16)
    again = Gsp(GspSettings(), inventory, make_rng())
    assert again.restore(0, rows) == 1
    assert again.attachment(b"dev3") is not None


def test_damaged_rows_are_left_out():
    gsp, device, _, inventory = attached()
    (row,) = gsp.snapshot()
    for index in range(1, len(row)):
        for bad in (row[index][:-1], row[index] + b"\0", bytes((row[index][0] ^ 1,)) + row[index][1:], b""):
            damaged = (*row[:index], bad, *row[index + 1 :])
            assert Gsp(GspSettings(), inventory, make_rng()).restore(0, [damaged]) == 0
    assert Gsp(GspSettings(), inventory, make_rng()).restore(0, [row]) == 1


def test_of_rows_that_claim_the_same_name_only_the_first_is_restored():
    gsp, device, _, inventory = attached()
    (row,) = gsp.snapshot()
    again = Gsp(GspSettings(), inventory, make_rng())
    assert again.restore(0, [row, row]) == 1
    again.revoke(device.device_id)
    assert again.attached == 0


def test_the_first_rounds_after_a_restart_are_spread():
    devices = [Device(b"dev%d" % n, address=("198.51.100.%d" % n, 1), seed=n) for n in range(10)]
    gsp, inventory = make_gsp(*(device.device_id for device in devices))
    for device in devices:
        attach(gsp, device)
    again = restarted(gsp, inventory, 0, restore_per_tick=4)
    assert [len(again.timeout(now_ms)) for now_ms in (0, 100, 200, 300)] == [4, 4, 2, 0]


def test_one_row_can_be_kept_at_a_time():
    gsp, device, _, _ = attached()
    assert [gsp.row(device.device_id)] == gsp.snapshot()
    assert gsp.row(b"nobody") is None
