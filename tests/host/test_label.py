"""The text on a device's label, and the label itself."""

import struct
import zlib
from xml.etree import ElementTree

import pytest
import segno
from homeport.client.keys import LABEL_KEY_ID, Psk
from homeport.errors import ConfigError
from homeport.label import grouped, label_text, parse_label
from homeport.provisioning.label import Label, as_png, as_svg, as_text, check_label_file, write_label
from homeport.provisioning.letters import LETTER_HEIGHT, rows_of

SECRET = bytes.fromhex("00112233445566778899aabbccddeeff")
TEXT = "HOMEPORT1:PUMP.EXAMPLE.ORG:00112233445566778899AABBCCDDEEFF"
LABEL = Label("pump.example.org", SECRET, "Pump & fan")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_text_is_the_documented_one_and_is_read_back():
    assert label_text("pump.example.org", SECRET) == TEXT
    assert parse_label(TEXT) == ("pump.example.org", SECRET)


@pytest.mark.parametrize("text", [TEXT.lower(), f"  {TEXT}\n", TEXT.replace("8899", "88-99")])
def test_case_and_blanks_do_not_matter(text):
    assert parse_label(text) == ("pump.example.org", SECRET)


@pytest.mark.parametrize("text", [SECRET.hex(), grouped(SECRET), SECRET.hex(":").upper(), SECRET.hex(" ")])
def test_a_secret_alone_is_of_any_device(text):
    assert parse_label(text) == (None, SECRET)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "32 hex digits"),
        ("HOMEPORT2:PUMP:" + SECRET.hex(), "of a kind that this program does not know: 'homeport2'"),
        ("HOMEPORT", "of a kind that this program does not know"),
        ("HOMEPORT1:", "id must be a host name"),
        ("HOMEPORT1:PUMP_1:" + SECRET.hex(), "id must be a host name"),
        ("HOMEPORT1:PUMP:", "32 hex digits"),
        ("HOMEPORT1:PUMP:" + SECRET.hex()[1:], "32 hex digits"),
        ("HOMEPORT1:PUMP:" + SECRET.hex() + ":0", "32 hex digits"),
        ("0" * 257, "at most 256 characters"),
    ],
)
def test_other_texts_are_refused_by_what_was_expected(text, reason):
    with pytest.raises(ConfigError) as caught:
        parse_label(text)
    assert reason in str(caught.value)


def test_a_wrong_secret_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        parse_label("HOMEPORT1:PUMP:" + SECRET.hex()[:-2])
    assert SECRET.hex()[:8] not in str(caught.value)


def test_pairing_takes_the_text_of_this_devices_label_only():
    assert Psk.of_label(TEXT, "pump.example.org") == Psk(LABEL_KEY_ID, SECRET)
    assert Psk.of_label(grouped(SECRET), "fan") == Psk(LABEL_KEY_ID, SECRET)
    with pytest.raises(ConfigError, match=r"this is the label of pump.example.org, not of fan"):
        Psk.of_label(TEXT, "fan")


def test_the_secret_does_not_show():
    assert SECRET.hex() not in repr(LABEL)
    assert repr(SECRET) not in repr(LABEL)


def dark_squares():
    """The squares of the code as segno draws it, without a border."""
    code = segno.make(TEXT, error="m", micro=False)
    assert code.mode == "alphanumeric"  # capitals are worth it
    return {(x, y) for y, row in enumerate(code.matrix) for x, value in enumerate(row) if value}


def test_the_svg_shows_code_name_id_and_secret_in_groups():
    root = ElementTree.fromstring(as_svg(LABEL))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts == ["Pump & fan", "pump.example.org", "0011-2233-4455-6677", "8899-aabb-ccdd-eeff"]
    path = root.find(f"{SVG}path").get("d")
    squares = {tuple(map(int, part.removesuffix("h1v1h-1z").split())) for part in path.split("M")[1:]}
    assert {(x - 4, y - 4) for x, y in squares} == dark_squares()


def pixels(png):
    """The rows of a PNG file of one bit, True where it is dark; its checksums are right."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = zlib.decompress(chunks[b"IDAT"])
    pitch = 1 + (width + 7) // 8
    assert len(rows) == pitch * height
    return [[not rows[y * pitch + 1 + x // 8] >> (7 - x % 8) & 1 for x in range(width)] for y in range(height)]


def test_the_png_shows_the_code_and_letters_below_it():
    rows = pixels(as_png(LABEL))
    size = len(rows[0]) // 8
    found = {(x - 4, y - 4) for y in range(size) for x in range(size) if rows[y * 8 + 3][x * 8 + 3]}
    assert found == dark_squares()
    assert len(rows) > size * 8 + 4 * LETTER_HEIGHT
    assert any(any(row) for row in rows[size * 8 :])


def test_a_name_too_long_for_the_label_is_cut_there():
    wide = Label("pump", SECRET, "w" * 49)
    assert len({len(row) for row in pixels(as_png(wide))}) == 1


def test_letters_without_a_form_are_left_out():
    assert rows_of("é") == [[]] * LETTER_HEIGHT
    assert rows_of("aé") == rows_of("A")


def test_the_terminal_shows_code_and_texts():
    shown = as_text(LABEL)
    assert "█" in shown
    assert shown.endswith("Pump & fan\npump.example.org\n0011-2233-4455-6677\n8899-aabb-ccdd-eeff")


@pytest.mark.parametrize("name", ["label.svg", "label.PNG"])
def test_a_file_is_its_owners_alone(tmp_path, name):
    path = tmp_path / name
    check_label_file(str(path), False)
    write_label(LABEL, str(path))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "reason"),
    [("label.jpg", "a label is a file .svg or .png"), ("none/label.svg", "there is no directory"), ("", "a label is")],
)
def test_files_that_cannot_be_are_refused(tmp_path, name, reason):
    with pytest.raises(ConfigError, match=reason):
        check_label_file(str(tmp_path / name), False)


def test_a_label_that_is_there_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "label.svg"
    path.write_text("the only copy")
    with pytest.raises(ConfigError, match="not replaced without --replace"):
        check_label_file(str(path), False)
    check_label_file(str(path), True)
    assert path.read_text() == "the only copy"
