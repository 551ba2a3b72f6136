"""Turns tables of small numbers into octets, where a board would keep a tuple and its head for each row.

`TABLE = ((1, 2, 3), …)`, used by nothing but `for a, b, c in TABLE:`, becomes `b"…"` and a loop over its indices.
"""

from __future__ import annotations

import ast

_ROW = "_row"


def pack_tables(tree: ast.Module, wanted: set[str]) -> None:
    """Replace in place the tables that no other module wants."""
    for statement in tree.body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        name = statement.targets[0].id
        rows = numbers(statement.value)
        if not rows or name in wanted:
            continue
        uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)]
        loops = [n for n in ast.walk(tree) if isinstance(n, ast.For) and is_over(n, name, len(rows[0]))]
        if len(uses) == len(loops):
            statement.value = ast.Constant(b"".join(rows))
            for loop in loops:
                unroll(loop, name, len(rows) * len(rows[0]), len(rows[0]))
    ast.fix_missing_locations(tree)


def numbers(value: ast.expr) -> list[bytes]:
    """The rows of a table, all of one length; empty when it is something else."""
    try:
        rows = [bytes(row) for row in ast.literal_eval(value) if isinstance(row, tuple)]
    except (TypeError, ValueError):
        return []
    whole = isinstance(value, ast.Tuple) and len(rows) == len(value.elts)
    return rows if whole and len({len(row) for row in rows}) == 1 else []


def is_over(loop: ast.For, name: str, width: int) -> bool:
    """Whether this is `for a, b, c in name`, for rows of that width."""
    return (
        isinstance(loop.iter, ast.Name)
        and loop.iter.id == name
        and isinstance(loop.target, ast.Tuple)
        and len(loop.target.elts) == width
    )


def unroll(loop: ast.For, name: str, size: int, width: int) -> None:
    """Go over the indices, and take the row apart."""
    row = [ast.parse(f"{name}[{_ROW} + {i}]" if i else f"{name}[{_ROW}]", mode="eval").body for i in range(width)]
    load = ast.Tuple(row, ast.Load())
    loop.body = [ast.Assign([loop.target], load), *loop.body]
    loop.target = ast.Name(_ROW, ast.Store())
    loop.iter = ast.parse(f"range(0, {size}, {width})", mode="eval").body
