"""What the firmware takes: bytecode of every module, memory of every kind of device; `ceilings.json` says what it may.

`python tests/budget/figures.py` prints both.
"""

import json
from pathlib import Path

import pytest
from figures import BUILDS, CEILINGS, bytecode, memory
from small_devices import KINDS

ALLOWED = json.loads(CEILINGS.read_text())


def excess(found: dict[str, int], allowed: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What is too large or has no ceiling: now, and what it may be."""
    return {name: (octets, allowed.get(name, 0)) for name, octets in found.items() if octets > allowed.get(name, 0)}


@pytest.mark.parametrize(("board", "variant"), BUILDS)
def test_bytecode_of_every_module_is_within_its_ceiling(board: str, variant: str) -> None:
    found = bytecode(board, variant)
    allowed = ALLOWED[f"bytecode {board} {variant}"]
    assert not excess(found, allowed)
    assert not set(allowed) - set(found), "gone, but still has a ceiling"


@pytest.mark.parametrize("kind", KINDS)
def test_memory_of_every_kind_of_device_is_within_its_ceiling(kind: str, tmp_path: Path) -> None:
    KINDS[kind].build(tmp_path / "tree")
    assert not excess(memory(kind, tmp_path / "tree"), ALLOWED[f"memory {kind}"])


def test_a_tiny_build_has_nothing_of_streams() -> None:
    apart = ("stream", "services", "tunnel", "pipe", "echo", "uart", "serial_unix")
    assert not [name for name in bytecode("esp32", "tiny") if any(word in name for word in apart)]
