"""What the build for boards rewrites does what it did before."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from build_firmware import with_own
from shorten import keywords, shorten_parameters
from tables import pack_tables

PARAMETERS = """
def outer(first, second, flag=False):
    _0 = first + 1
    def inner(first, third):
        return [third * second for third in (first, third)]
    return inner(_0, second), (lambda value: value + second + _0)(5), flag

def face(named):
    return named

def failing(error, sys):
    import sys
    try:
        raise ValueError("text")
    except ValueError as error:
        return str(error), sys.maxsize

RESULT = outer(1, 2), outer(1, 2, flag=True), face(3), failing(4, 5)
"""

TABLES = """
TABLE = ((0, 1, 2), (2, 1, 0), (1, 1, 1))
WORDS = (("a", 1), ("b", 2))
BIG = ((1, 300), (2, 2))

def after(state, event):
    for before, on, following in TABLE:
        if before == state and on == event:
            return following
    return None

RESULT = after(0, 1), after(2, 1), after(1, 1), after(1, 0), [n for _, n in WORDS], [a + b for a, b in BIG]
"""


def result(tree: ast.Module) -> object:
    names: dict[str, object] = {}
    exec(compile(ast.fix_missing_locations(tree), "rewritten", "exec"), names)
    return names["RESULT"]


def parameters(tree: ast.Module) -> dict[str, list[str]]:
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {node.name: [argument.arg for argument in node.args.args] for node in functions}


def test_parameters_get_short_names_and_nothing_else_changes() -> None:
    tree = ast.parse(PARAMETERS)
    shorten_parameters(tree, keywords([tree]), {"face"})
    assert result(tree) == result(ast.parse(PARAMETERS))
    assert parameters(tree)["outer"] == ["first", "_1", "flag"]  # `first` has two meanings, `flag` is passed by name
    assert parameters(tree)["face"] == ["named"]


def test_tables_of_octets_become_octets_and_others_stay() -> None:
    tree = ast.parse(TABLES)
    pack_tables(tree, set())
    assert result(tree) == result(ast.parse(TABLES))
    values = {s.targets[0].id: s.value for s in tree.body if isinstance(s, ast.Assign)}
    assert ast.literal_eval(values["TABLE"]) == bytes((0, 1, 2, 2, 1, 0, 1, 1, 1))
    assert isinstance(values["WORDS"], ast.Tuple)
    assert isinstance(values["BIG"], ast.Tuple)


def test_a_table_that_another_module_wants_stays() -> None:
    tree = ast.parse(TABLES)
    pack_tables(tree, {"TABLE"})
    assert ast.unparse(tree) == ast.unparse(ast.parse(TABLES))


def test_an_application_brings_the_modules_beside_it_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "app.py").write_text("import sys\nfrom parts.one import name\nfrom homeport_core.rpc import RAW\n")
    (tmp_path / "parts/one.py").write_text("def name():\n    from parts.two import other\n")
    (tmp_path / "parts/two.py").write_text("from parts.one import name\n")
    (tmp_path / "parts/unused.py").write_text("")
    assert sorted(with_own(tmp_path / "app.py")) == ["app", "parts.one", "parts.two"]
