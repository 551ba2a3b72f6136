"""Gives private names of a bundled program short ones that are used again and again.

MicroPython keeps every distinct name of a program in memory once. Private attributes (`_name`) of unrelated classes
cannot meet, so each family of classes counts from `_0` on, and so do the private functions of the module. Names
that are reached from elsewhere (`other._name`, strings) stay. Parameters are kept by name as well, so they get
these names too, but for those that somebody passes by keyword.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from itertools import count


def shorten(tree: ast.Module, outside: set[str]) -> None:
    """Rename in place, but `outside`: the names that other modules mention."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    kept = set(foreign_names(tree)) | outside
    for family in families(classes):
        if not all(has_own_bases(node, classes) for node in family):
            continue
        names = sorted({name for node in family for name in private_members(node)} - kept)
        short = {name: f"_{number}" for number, name in enumerate(names)}
        for node in family:
            RenameMembers(short).visit(node)
    defined = [name for node in tree.body for name in top_names(node) if is_private(name)]
    short = {name: f"_{number}" for number, name in enumerate(sorted(set(defined) - kept))}
    RenameGlobals(short).visit(tree)


def shorten_parameters(tree: ast.Module, passed: set[str], faces: set[str]) -> None:
    """Rename in place, but `passed` (keywords of calls), and what belongs to `faces`: functions and classes that
    applications call."""
    for statement in tree.body:
        if not (isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement.name in faces):
            RenameParameters(passed | {"self", "_"}).visit(statement)


def keywords(trees: Iterable[ast.Module]) -> set[str]:
    """The names by which arguments are passed."""
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def top_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def families(classes: dict[str, ast.ClassDef]) -> list[list[ast.ClassDef]]:
    """Classes grouped by inheritance."""
    group = {name: {name} for name in classes}
    for name, node in classes.items():
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in classes:
                joined = group[name] | group[base.id]
                for member in joined:
                    group[member] = joined
    return [[classes[name] for name in sorted(members)] for members in {frozenset(g) for g in group.values()}]


def private_members(node: ast.ClassDef) -> Iterator[str]:
    """Private methods, class attributes and attributes of `self`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and is_self(inner) and is_private(inner.attr):
            yield inner.attr
    for statement in node.body:
        yield from filter(is_private, top_names(statement))


def is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def foreign_names(tree: ast.Module) -> Iterator[str]:
    """Private names that are reached by another way than `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_self(node):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def has_own_bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether no other module of ours can know its members: all its bases are here, or the language's."""
    return all(isinstance(base, ast.Name) and (base.id in classes or hasattr(builtins, base.id)) for base in node.bases)


def top_names_of(node: ast.ClassDef) -> Iterator[str]:
    """Methods and class attributes."""
    for statement in node.body:
        yield from top_names(statement)


def own_attributes(tree: ast.Module) -> set[int]:
    """The private attributes of `self`, by `id`, in classes that share nothing with other modules."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    apart = [family for family in families(classes) if all(has_own_bases(node, classes) for node in family)]
    nodes = (inner for family in apart for node in family for inner in ast.walk(node))
    return {id(node) for node in nodes if isinstance(node, ast.Attribute) and is_self(node) and is_private(node.attr)}


def mentioned_names(tree: ast.Module) -> Iterator[str]:
    """Every name that another module uses, but for what is its own."""
    own = own_attributes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if id(node) not in own:
                yield node.attr
        elif isinstance(node, ast.ClassDef):
            yield from (name for name in top_names_of(node) if node.bases)  # what it may take the place of
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


class RenameMembers(ast.NodeTransformer):
    """Within one class."""

    def __init__(self, short: dict[str, str]) -> None:
        self.short = short
        self.depth = 0

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if is_self(node):
            node.attr = self.short.get(node.attr, node.attr)
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                statement.name = self.short.get(statement.name, statement.name)
            elif isinstance(statement, ast.Assign):
                for target in ast.walk(statement):
                    if isinstance(target, ast.Name):
                        target.id = self.short.get(target.id, target.id)
        self.generic_visit(node)
        return node


class RenameGlobals(ast.NodeTransformer):
    """Private functions, classes and tables of the module. No local name begins with an underscore but `_`."""

    def __init__(self, short: dict[str, str]) -> None:
        self.short = short

    def visit_Name(self, node: ast.Name) -> ast.expr:
        node.id = self.short.get(node.id, node.id)
        return node

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.stmt:
        node.name = self.short.get(node.name, node.name)
        self.generic_visit(node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition


class RenameParameters(ast.NodeTransformer):
    """Of functions and what is in them: the first short names that the function does not use."""

    def __init__(self, kept: set[str]) -> None:
        self.kept = kept

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        inner = [n for part in (node.body if isinstance(node.body, list) else [node.body]) for n in ast.walk(part)]
        used = {n.id for n in inner if isinstance(n, ast.Name)}
        bound_inside = set(bound_apart(inner))
        numbers = (f"_{number}" for number in count())
        short = {}
        for argument in node.args.args:
            if argument.arg not in self.kept | bound_inside:
                short[argument.arg] = next(name for name in numbers if name not in used | bound_inside)
                argument.arg = short[argument.arg]
        for name in inner:
            if isinstance(name, ast.Name):
                name.id = short.get(name.id, name.id)
        self.generic_visit(node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function


def bound_apart(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names that nested functions and comprehensions have for themselves, or that stand elsewhere than in a `Name`."""
    for node in nodes:
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.comprehension):
            yield from (inner.id for inner in ast.walk(node.target) if isinstance(inner, ast.Name))
        elif isinstance(node, ast.ExceptHandler | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name:
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
