"""A board's first hours, in order: provisioned, paired, called, reset in mid-write, renamed."""

import random
import time

from bench_board import DEVICE
from processes import homeport

RESETS = 5


def is_owner(bench):
    info = bench.far("call", DEVICE, "get_public_device_info.json")
    return info["result"]["is_current_user_owner"] == 1


def test_provisioned_it_registers_and_is_paired_by_its_label(bench, tmp_path):
    done = bench.provision("--dir", bench.root, "--replace")
    secret = tmp_path / "label"
    secret.write_text(done["label_secret"])
    bench.board.press()
    bench.home.answer("pair", bench.nearby, "--user-name", "me", "--label-secret-file", secret)
    assert bench.far("status", DEVICE)["end_to_end"] is True
    assert is_owner(bench)


def test_it_is_called_from_afar(bench, tmp_path):
    interface = tmp_path / "light.xml"
    interface.write_text(homeport("interface", "light").stdout)
    answer = bench.far("call", DEVICE, "light_write.json", "light_id=1", "light_on=1", "--interface", interface)
    assert answer["result"]["light_state"] == 1


def test_its_owner_survives_resets_while_the_list_of_users_is_written(bench):
    choose = random.Random(5)
    for number in range(RESETS):
        adding = bench.begin("acl", DEVICE, "add", f"{number + 1:032x}", "--name", f"guest {number}")
        time.sleep(choose.uniform(0.5, 1.5))
        bench.board.restart()
        adding.kill()
        adding.wait()
        assert "me" in {user["name"] for user in bench.far("acl", DEVICE, "list")["users"]}


def test_its_events_tell_of_the_start(bench):
    events = bench.far("events", DEVICE)
    assert any("started" in event["text"] for event in events["events"]), events


def test_provisioning_again_keeps_identity_and_users(bench):
    bench.provision("--keep-key", "--replace", "--name", "Lamp on the bench")
    assert is_owner(bench)
