"""What flashing will do, decided before anything is touched; and that nothing a device remembers goes unsaid."""

from __future__ import annotations

import firmware_images
import pytest
from board_images import image_for, records_region
from homeport.boards import esp32
from homeport.boards.board import Area
from homeport.boards.descriptors import load_board
from homeport.boards.image import Image
from homeport.boards.partition_table import parse_table
from homeport.boards.plan import Action, Found, Step, has_records, plan_drive, plan_esp32, plan_files
from homeport.errors import ConfigError
from homeport_core.record import KINDS, REGION_LEN

ESP32 = load_board("esp32")
BLANK = b"\xff" * REGION_LEN
LEFTOVERS = b"\x12\x34" * (REGION_LEN // 2)
STOCK = parse_table(firmware_images.table(firmware_images.TABLE))
OURS = parse_table(esp32.take_apart(ESP32, firmware_images.esp32_firmware(), "f").table)
WITHOUT_ROMFS = [partition for partition in OURS if partition.name != "romfs"]


def plan(image: Image, found: Found | None, erase_records: bool | None = None) -> list[Step]:
    return plan_esp32(image, esp32.pieces(image), found, erase_records)


def records_step(steps: list[Step]) -> Step:
    (step,) = [step for step in steps if step.area == ESP32.records]
    return step


def test_a_new_board_gets_everything_and_keeps_the_empty_place() -> None:
    steps = plan(image_for("esp32"), Found((), BLANK))
    assert [(step.action, step.area.at) for step in steps] == [
        (Action.KEEP, 0x3F0000),
        (Action.WRITE, 0x1000),
        (Action.WRITE, 0x8000),
        (Action.WRITE, 0x10000),
        (Action.WRITE, 0x220000),
        (Action.WRITE, 0x3B0000),
    ]


def test_nothing_overlaps() -> None:
    areas = [step.area for step in plan(image_for("esp32"), Found((), LEFTOVERS), erase_records=True)]
    for index, area in enumerate(areas):
        assert not any(area.overlaps(other) for other in areas[index + 1 :])


@pytest.mark.parametrize("partitions", [OURS, WITHOUT_ROMFS, STOCK, ()])
def test_records_are_kept_whatever_became_of_the_table(partitions: list[object]) -> None:
    """An attempt that was interrupted may have left half a table."""
    found = Found(partitions, records_region())  # type: ignore[arg-type]
    assert records_step(plan(image_for("esp32"), found)).action is Action.KEEP


@pytest.mark.parametrize("kind", KINDS)
def test_one_whole_record_of_any_kind_is_enough_to_be_kept(kind: str) -> None:
    assert has_records(ESP32, Found((), records_region(kind=kind)))


def test_damaged_records_are_kept_where_the_table_names_them() -> None:
    assert records_step(plan(image_for("esp32"), Found(OURS, LEFTOVERS))).action is Action.KEEP


def test_leftovers_of_something_else_make_room_first() -> None:
    """Before the table names their place: afterwards they would count as records."""
    steps = plan(image_for("esp32"), Found(STOCK, LEFTOVERS))
    assert steps[0] == records_step(steps)
    assert steps[0].action is Action.ERASE
    assert "there are none yet" in steps[0].what


def test_leftovers_stay_when_somebody_insists() -> None:
    steps = plan(image_for("esp32"), Found(STOCK, LEFTOVERS), erase_records=False)
    assert records_step(steps).action is Action.KEEP


@pytest.mark.parametrize("found", [None, Found(OURS, records_region()), Found((), BLANK)])
def test_records_are_erased_when_asked_for_and_first(found: Found | None) -> None:
    steps = plan(image_for("esp32"), found, erase_records=True)
    assert steps[0] == records_step(steps)
    assert steps[0].action is Action.ERASE


def test_records_of_the_image_go_onto_a_board_without() -> None:
    step = records_step(plan(image_for("esp32", records=records_region()), Found(STOCK, BLANK)))
    assert (step.action, step.data) == (Action.WRITE, records_region())


def test_records_of_the_image_and_of_the_board_want_a_decision() -> None:
    image, found = image_for("esp32", records=records_region(b"new")), Found(OURS, records_region(b"old"))
    with pytest.raises(ConfigError, match="say --keep-records or --erase-records"):
        plan(image, found)
    assert records_step(plan(image, found, erase_records=False)).action is Action.KEEP
    step = records_step(plan(image, found, erase_records=True))
    assert (step.action, step.data) == (Action.WRITE, records_region(b"new"))


def test_records_elsewhere_are_not_lost_in_silence() -> None:
    table = firmware_images.table((*firmware_images.TABLE, ("homeport", 1, 0x40, 0x7F0000, 0x10000)))
    found = Found(parse_table(table), BLANK)
    with pytest.raises(ConfigError, match="the board's records are at 0x7f0000-0x800000"):
        plan(image_for("esp32"), found)
    assert records_step(plan(image_for("esp32"), found, erase_records=True)).action is Action.ERASE


def test_an_application_alone_goes_onto_a_board_with_our_partitions() -> None:
    steps = plan(image_for("esp32", with_micropython=False), Found(OURS, records_region()))
    written = [step for step in steps if step.action is Action.WRITE]
    assert [(step.area.at, step.what) for step in written] == [
        (0x220000, "the application and its files"),
        (0x3B0000, "the application's code, run in place"),
    ]
    assert Step(Action.KEEP, "MicroPython", Area(0, 0x220000)) in steps


@pytest.mark.parametrize("partitions", [STOCK, WITHOUT_ROMFS, ()])
def test_an_application_alone_is_nothing_for_a_board_without_them(partitions: list[object]) -> None:
    with pytest.raises(ConfigError, match="name its file with --firmware"):
        plan(image_for("esp32", with_micropython=False), Found(partitions, BLANK))  # type: ignore[arg-type]


def test_nobody_has_looked() -> None:
    assert records_step(plan(image_for("esp32"), None)).what.endswith("if it has any")


def test_a_drive_erases_records_only_in_so_many_words() -> None:
    with pytest.raises(ConfigError, match="say --erase-records"):
        plan_drive(image_for("pico_w"), None)
    steps = plan_drive(image_for("pico_w"), erase_records=True)
    assert [step.action for step in steps] == [Action.WRITE, Action.WRITE]
    assert "identity, settings and users" in steps[1].what


def test_a_drive_takes_micropython_alone_where_records_are_kept() -> None:
    steps = plan_drive(image_for("pico_w"), erase_records=False)
    assert [step.action for step in steps] == [Action.WRITE, Action.KEEP]
    with pytest.raises(ConfigError, match="name its file with --firmware"):
        plan_drive(image_for("pico_w", with_micropython=False), erase_records=False)


@pytest.mark.parametrize(("erase_records", "action"), [(None, Action.KEEP), (False, Action.KEEP), (True, Action.ERASE)])
def test_files_one_by_one_leave_records_alone_unless_told(erase_records: bool | None, action: Action) -> None:
    assert [step.action for step in plan_files(image_for("pico_w"), erase_records)] == [
        Action.KEEP,
        action,
        Action.WRITE,
    ]


def test_a_step_says_in_words_what_happens_where() -> None:
    step = Step(Action.WRITE, "MicroPython v1.29.0", Area(0x10000, 0xF000))
    assert step.line() == "  erases and writes  0x010000-0x01f000  MicroPython v1.29.0"
    assert step.document() == {"action": "write", "what": "MicroPython v1.29.0", "at": 0x10000, "len": 0xF000}
