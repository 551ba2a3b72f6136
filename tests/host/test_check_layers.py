"""The layer check sees what it is there to see."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_layers


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("firmware/homeport_core/packet.py", "import os\n"),
        ("firmware/homeport_core/backend_x.py", "def f():\n    import socket\n"),
        ("firmware/homeport_device/attach.py", "from time import ticks_ms\n"),
        ("firmware/homeport_device/attach.py", "from homeport_device import port\n"),
        ("firmware/examples/light.py", "import homeport.wire\n"),
        ("host/src/homeport/basestation/gsp/relay.py", "import asyncio\n"),
        ("host/src/homeport/basestation/gsp/relay.py", "from homeport.basestation.server import run\n"),
        ("host/src/homeport/client/session/session.py", "from . import frames\n"),
        ("host/src/homeport/client/session/session.py", "from homeport_device.stack import Stack\n"),
    ],
)
def test_an_import_the_wrong_way_is_an_offence(
    place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_layers, "ROOT", tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(text)
    assert len(list(check_layers.offences())) >= 1


def test_the_tree_as_it_stands_has_none() -> None:
    assert list(check_layers.offences()) == []
