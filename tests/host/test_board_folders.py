"""The folders of boards: each says what to buy, wire, press and expect, and its pins are those that it says."""

import ast
import configparser
import re
import runpy
import shlex
from pathlib import Path

import pytest
from homeport.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {path.parent.name: path.parent for path in sorted((ROOT / "boards").glob("*/board.json"))}
MICROCONTROLLERS = sorted(set(FOLDERS) - {"linux", "unix"})
STATION = {"SDA", "SCL", "LAMP_RED", "LAMP_GREEN", "LAMP_BLUE", "RELAY"}
SECTIONS = ["Buy", "Wire", None, "Provision", "Press and expect", "When something is wrong", "What has been tried"]
# What a number in pins.py is called in a wiring diagram; Blinka's "D17" is GPIO17 there.
CALLED = {"pico_w": "GP%s", "pico2_w": "GP%s"}
BLINKA = {"SDA": "2", "SCL": "3"}

folders = pytest.mark.parametrize("name", FOLDERS)


def pins(name):
    """Pin by its name, without the mark of those that are turned round."""
    table = runpy.run_path(str(FOLDERS[name] / "pins.py"))["PINS"]
    return {key: entry[0] if isinstance(entry, tuple) else entry for key, entry in table.items()}


def readme(name):
    return (FOLDERS[name] / "README.md").read_text()


def commands(name):
    blocks = re.findall(r"^```\n(.*?)^```$", readme(name), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`(homeport [^`…]*)`", readme(name))
    return [line for line in lines if line.startswith("homeport ")]


def test_there_are_all_boards():
    assert set(FOLDERS) == {"esp32", "esp32_s3", "esp32_c3", "pico_w", "pico2_w", "unix", "linux"}


@folders
def test_every_readme_has_the_same_sections(name):
    found = re.findall(r"^## (.*)$", readme(name), re.M)
    assert len(found) == len(SECTIONS)
    assert all(wanted in (None, section) for wanted, section in zip(SECTIONS, found, strict=True))


@folders
def test_the_solar_station_has_its_pins(name):
    assert set(pins(name)) >= STATION
    assert len(set(pins(name).values())) == len(pins(name)), "a pin with two names"


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_boards_have_a_light_and_a_button(name):
    assert {"LED", "BUTTON"} <= set(pins(name))


@pytest.mark.parametrize("name", [*MICROCONTROLLERS, "linux"])
def test_the_wiring_diagram_names_every_pin(name):
    (diagram,) = re.findall(r"^## Wire$.*?^```\n(.*?)^```$", readme(name), re.M | re.S)
    for key, pin in pins(name).items():
        number = BLINKA.get(pin, str(pin).lstrip("D"))
        wanted = CALLED.get(name, "GPIO%s") % number
        assert pin == "LED" or re.search(rf"\b{wanted}\b", diagram), f"{key}: no {wanted}"


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_what_is_frozen_exists(name):
    """MicroPython's own manifest apart, which is not in this repository."""
    manifest = FOLDERS[name] / "manifest.py"
    found = []
    for node in ast.walk(ast.parse(manifest.read_text())):
        if isinstance(node, ast.Call):
            (argument,) = [ast.literal_eval(value) for value in node.args]
            options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            base = options.get("base_path", ".")
            found += [] if argument.startswith("$(PORT_DIR)") else [manifest.parent / base / argument]
    assert len(found) == 4
    assert all(path.exists() for path in found), found


@folders
def test_commands_and_their_options_exist(name):
    assert commands(name)
    for command in commands(name):
        words = shlex.split(command.partition(" > ")[0].partition(" -- ")[0], comments=True)[1:]
        result = CliRunner().invoke(app, [*words, "--help"])
        assert (result.exit_code, result.stderr) == (0, ""), command


@folders
def test_links_lead_to_files(name):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme(name)):
        assert (FOLDERS[name] / target).exists(), target


@pytest.mark.parametrize("name", [*MICROCONTROLLERS, "linux"])
def test_what_was_not_tried_is_said(name):
    assert "have not met a real board" in readme(name)
    assert re.search(r"^- Not tried: ", readme(name), re.M)


def test_the_service_starts_what_the_readme_installs():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(FOLDERS["linux"] / "homeport.service")
    service = unit["Service"]
    assert (service["User"], service["StateDirectoryMode"]) == ("homeport", "0700")
    assert service["SupplementaryGroups"].split() == ["gpio", "i2c"]
    words = shlex.split(service["ExecStart"])
    text = readme("linux")
    for path in ("/opt/homeport/venv", "/etc/homeport/device.json", "/etc/homeport/key", "/etc/homeport/label"):
        assert path in text
    assert words[:2] == ["/opt/homeport/venv/bin/python", "/opt/homeport/sunpi.py"]
    assert not any(re.fullmatch(r"[0-9a-f]{32}", word) for word in words)
