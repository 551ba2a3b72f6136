"""The lists of what goes onto a board name every file, and only those."""

import json
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent.parent.parent / "firmware"
PACKAGES = ("homeport_core", "homeport_device")
NOT_ON_BOARDS = {
    "backend_cpython.py",
    "catalogue.py",
    "hardware_linux.py",
    "port_cpython.py",
    "serial_cpython.py",
    "tcp_cpython.py",
}


def board_files() -> list[str]:
    return sorted(
        f"{package}/{path.name}"
        for package in PACKAGES
        for path in (FIRMWARE / package).glob("*.py")
        if path.name not in NOT_ON_BOARDS
    )


def test_the_freeze_list_names_every_file() -> None:
    listed: list[str] = []

    def package(name: str, files: tuple[str, ...], base_path: str, opt: int) -> None:
        listed.extend(f"{name}/{file}" for file in files)

    exec((FIRMWARE / "manifest.py").read_text(), {"package": package})
    assert sorted(listed) == board_files()


def test_the_install_list_names_every_file_and_the_version() -> None:
    package = json.loads((FIRMWARE / "package.json").read_text())
    assert sorted(source for _, source in package["urls"]) == board_files()
    assert all(target == source for target, source in package["urls"])
    init = (FIRMWARE / "homeport_core" / "__init__.py").read_text()
    assert f'__version__ = "{package["version"]}"' in init


def test_the_examples_install_with_the_modules_that_they_need() -> None:
    examples = FIRMWARE / "examples"
    package = json.loads((examples / "package.json").read_text())
    files = {str(path.relative_to(examples)) for path in examples.rglob("*.py") if not path.stem.endswith("_linux")}
    assert {source for _, source in package["urls"]} == files - {"__init__.py"}
    assert all(target == source for target, source in package["urls"])
    assert package["version"] == json.loads((FIRMWARE / "package.json").read_text())["version"]
