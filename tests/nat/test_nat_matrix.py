"""Every NAT of a client with every NAT of a device, and what else stands between them: all connect, and end on the best
path that theory allows. `make nat` writes what was measured into docs/nat.md."""

import os
from pathlib import Path

import pytest
from matrix import CELLS, MOVED, PAIRS, Run
from nat_table import document
from nat_world import Nat

_TABLE_VARIABLE = "NAT_TABLE"  # the file to write the table into


@pytest.fixture(scope="module")
def measured(parts):
    Run(parts).run()
    wanted = os.environ.get(_TABLE_VARIABLE)
    if wanted:
        Path(wanted).write_text(document())


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.name} {cell.note}".strip().replace(" ", "-"))
def test_connects_by_the_best_path(measured, cell):
    assert cell.measured.get("last_path") in cell.ends, cell.measured


def test_first_answer_comes_before_the_direct_path_where_both_need_the_relay_to_begin(measured):
    cell = PAIRS[Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED]
    assert cell.measured["direct_ms"] is not None, cell.measured


def test_answer_after_the_address_changed_is_awaited_no_longer_than_a_request_may_take(measured):
    assert "error" not in MOVED.measured, MOVED.measured
