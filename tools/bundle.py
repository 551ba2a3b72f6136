"""Rewrites the firmware's modules for boards, where every name costs memory.

- Integer constants go to the places that use them, across modules.
- Modules that are always loaded together become one. Whatever is imported inside a function or a condition stays a
  module of its own: it is loaded when it is wanted.
- Functions and classes that nobody uses are left out, and so are the texts of errors that are only counted.

It understands the style that the firmware is written in and refuses what it does not: absolute imports, constants
as `NAME = const(…)`, no star imports.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

COUNTED_ERRORS = {"MalformedError", "AuthError"}


@dataclass
class Module:
    """One source file. `constants` are those it defines or imports; `exports` what its `__all__` names."""

    name: str
    tree: ast.Module
    constants: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    exports: set[str] = field(default_factory=set)


class Program:
    """All modules of the board, by name, with what each one's names mean in the end."""

    def __init__(self, sources: dict[str, str], platform: str = "unix") -> None:
        self.modules = {name: Module(name, ast.parse(source, name)) for name, source in sources.items()}
        self.bundle_of: dict[str, str] = {}  # by module
        self.homes: dict[str, str] = {}  # the bundle of each name that a bundle defines
        for module in self.modules.values():
            module.tree.body = list(fold(module.tree.body, platform))
            name_late(module.tree, set(self.modules))
            module.exports = exports_of(module.tree)
        for module in self.modules.values():
            self._find_constants(module, set())

    def _find_constants(self, module: Module, seen: set[str]) -> None:
        if module.constants or module.name in seen:
            return
        seen.add(module.name)
        for imported in imports_of(module.tree):
            for alias in imported.names:
                local = alias.asname or alias.name
                if f"{imported.module}.{alias.name}" in self.modules:
                    module.aliases[local] = f"{imported.module}.{alias.name}"
                elif imported.module in self.modules:
                    source = self.modules[imported.module]
                    self._find_constants(source, seen)
                    if alias.name in source.constants:
                        module.constants[local] = source.constants[alias.name]
        for statement in module.tree.body:
            if is_constant(statement):
                value = evaluate(statement.value.args[0], module.constants)  # type: ignore[attr-defined]
                if value is not None:
                    module.constants[statement.targets[0].id] = value  # type: ignore[attr-defined]

    def join(self, bundle: str, roots: tuple[str, ...]) -> list[str]:
        """Make one of all modules that importing `roots` loads unconditionally, but for those that others have.

        Returns them, each after those that it needs.
        """
        order: list[str] = []

        def visit(name: str) -> None:
            if name in order or name not in self.modules or name in self.bundle_of:
                return
            for statement in self.modules[name].tree.body:
                if isinstance(statement, ast.ImportFrom):
                    visit(statement.module or "")
                    for alias in statement.names:
                        visit(f"{statement.module}.{alias.name}")
            order.append(name)

        for root in roots:
            visit(root)
        joined = [name for name in order if "." in name and name != "homeport_core.compat"]
        self.bundle_of.update(dict.fromkeys(joined, bundle))
        return joined

    def name_all(self) -> None:
        """Decide what the bundles call each top-level name: as it is, or with its module's where two are equal."""
        bundled = list(self.bundle_of)
        owners: dict[str, list[str]] = {}
        for name in bundled:
            for local in defined_names(self.modules[name].tree):
                owners.setdefault(local, []).append(name)
        imports = [s for name in bundled for s in self.modules[name].tree.body if isinstance(s, ast.Import)]
        # A name that is local to some function would hide the bundle's there.
        hidden = {
            local
            for name in bundled
            for node in ast.walk(self.modules[name].tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for local in local_names(node)
        }
        taken = set(owners) | hidden | set(dir(builtins))
        if set(owners) & set(stored_names(imports)):
            raise SystemExit("a definition hides a library: " + ", ".join(set(owners) & set(stored_names(imports))))
        for local, modules in owners.items():
            for name in modules:
                unique = local
                if len(modules) > 1 or local in hidden:
                    unique = f"{local}_{name.rpartition('.')[2]}"
                    if unique in taken:
                        unique = f"{local}_{name.replace('.', '_')}"
                self.modules[name].names[local] = unique
                self.homes[unique] = self.bundle_of[name]
        for name in bundled:
            module = self.modules[name]
            for imported in imports_of(module.tree):
                if imported.module in self.bundle_of:
                    source = self.modules[imported.module]
                    for alias in imported.names:
                        local, unique = alias.asname or alias.name, source.names.get(alias.name)
                        if unique and module.names.setdefault(local, unique) != unique:
                            raise SystemExit(f"{name}: {local} has two meanings")

    def bundle(self, bundled: list[str], wanted: set[str]) -> ast.Module:
        """One module of all of these, with only what `wanted` (names of the bundles) needs."""
        body: list[ast.stmt] = []
        for name in bundled:
            rewrite = Rewrite(self, self.modules[name])
            tree = rewrite.visit(self.modules[name].tree)
            body += rewrite.imports() + tree.body
        imports = {ast.unparse(s): s for s in body if isinstance(s, ast.Import | ast.ImportFrom)}
        rest = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom)]
        merged = ast.Module(list(imports.values()) + list(reachable(rest, wanted)), [])
        return ast.fix_missing_locations(merged)

    def separate(self, name: str) -> ast.Module:
        """A module that stays its own, importing from the bundles."""
        rewrite = Rewrite(self, self.modules[name])
        tree: ast.Module = rewrite.visit(self.modules[name].tree)
        tree.body = [*rewrite.imports(), *tree.body]
        return ast.fix_missing_locations(tree)


class Rewrite(ast.NodeTransformer):
    """Gives one module's names their meaning in the program. Scopes are followed, so locals stay as they are."""

    def __init__(self, program: Program, module: Module) -> None:
        self.program = program
        self.module = module
        self.bundle = program.bundle_of.get(module.name)
        self.scopes: list[tuple[bool, set[str]]] = []
        self.members: set[tuple[str, str]] = set()  # of bundled modules, that this one uses as `module.name`

    def imports(self) -> list[ast.stmt]:
        """For the names of other bundles that were found on the way."""
        return [self._import(*names) for names in sorted(self.members)]

    def _import(self, unique: str, local: str) -> ast.stmt:
        return ast.ImportFrom(self.program.homes[unique], [ast.alias(unique, local if local != unique else None)], 0)

    def is_global(self, name: str) -> bool:
        for at, (is_class, names) in enumerate(reversed(self.scopes)):
            if name in names and (at == 0 or not is_class):
                return False
        return True

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        if node.module == "homeport_core.compat":
            return []
        if node.module not in self.program.modules and node.module not in ("homeport_core", "homeport_device"):
            return [node]
        out: list[ast.stmt] = []
        for alias in node.names:
            local = alias.asname or alias.name
            full = f"{node.module}.{alias.name}"
            if full in self.program.modules:
                if full not in self.program.bundle_of:
                    out.append(ast.ImportFrom(node.module, [alias], 0))
                elif self.scopes:  # its names would be looked for in a module that there is not
                    raise SystemExit(f"{self.module.name}: inside a function import names of {full}, not the module")
            elif local in self.module.constants:
                continue
            elif node.module in self.program.bundle_of:
                unique = self.program.modules[node.module].names[alias.name]
                if self.program.homes[unique] != self.bundle:
                    out.append(self._import(unique, unique if self.bundle and not self.scopes else local))
            else:
                out.append(ast.ImportFrom(node.module, [alias], 0))
        return out

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        target = node.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        if name in ("__all__", "__slots__") or (
            not self.scopes and is_constant(node) and name in self.module.constants
        ):
            return []
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not self.is_global(node.id):
            return node
        if node.id == "MICROPYTHON":
            return ast.Constant(True)
        if node.id in self.module.constants and isinstance(node.ctx, ast.Load):
            return ast.Constant(self.module.constants[node.id])
        if self.bundle:
            node.id = self.module.names.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and self.is_global(node.value.id):
            full = self.module.aliases.get(node.value.id, "")
            source = self.program.modules.get(full)
            if source and node.attr in source.constants:
                return ast.Constant(source.constants[node.attr])
            if source and full in self.program.bundle_of:
                unique = source.names[node.attr]
                if self.program.homes[unique] == self.bundle:
                    return ast.Name(unique, node.ctx)
                local = unique if self.bundle else f"{node.value.id}_{node.attr}"
                self.members.add((unique, local))
                return ast.Name(local, node.ctx)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in COUNTED_ERRORS and node.args and isinstance(node.args[0], ast.Constant):
            node.args[0] = ast.Constant("")
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        if self.bundle and not self.scopes:
            node.name = self.module.names.get(node.name, node.name)
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        self.scopes.append((False, local_names(node) - self._needless(node)))
        body = [result for statement in node.body for result in listed(self.visit(statement))]
        node.body = body or [ast.Pass()]
        self.scopes.pop()
        return node

    def _needless(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
        """What it imports of its own bundle, and constants: those are global."""
        return {
            alias.asname or alias.name
            for imported in imports_of(node)
            for alias in imported.names
            if (alias.asname or alias.name) in self.module.constants
            or (self.bundle and self.program.bundle_of.get(imported.module or "") == self.bundle)
        }

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self.scopes.append((False, {argument.arg for argument in node.args.args}))
        node.body = self.visit(node.body)
        self.scopes.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        if self.bundle and not self.scopes:
            node.name = self.module.names.get(node.name, node.name)
        node.bases = [self.visit(base) for base in node.bases]
        self.scopes.append((True, set(stored_names(node.body))))
        body = [result for statement in node.body for result in listed(self.visit(statement))]
        node.body = body or [ast.Pass()]
        self.scopes.pop()
        return node

    def _comprehension(self, node: ast.expr) -> ast.expr:
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}  # type: ignore[attr-defined]
        self.scopes.append((False, targets))
        self.generic_visit(node)
        self.scopes.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def imports_of(tree: ast.AST) -> Iterator[ast.ImportFrom]:
    """All `from … import …`, wherever they stand."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


def name_late(tree: ast.Module, modules: set[str]) -> None:
    """In functions, `from package import module` and `module.name` become `from package.module import name`."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for imported in list(imports_of(function)):
            alias = imported.names[0]
            whole = f"{imported.module}.{alias.name}"
            uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == alias.name]
            members = [n for n in ast.walk(function) if isinstance(n, ast.Attribute) and n.value in uses]
            if whole in modules and len(imported.names) == 1 and len(uses) == len(members):
                names = sorted({member.attr for member in members})
                imported.module = whole
                imported.names = [ast.alias(name, f"{alias.name}_{name}") for name in names]
                Named(alias.name).visit(function)


class Named(ast.NodeTransformer):
    """`module.name` becomes `module_name`."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == self.module:
            return ast.Name(f"{self.module}_{node.attr}", node.ctx)
        return node


def fold(body: list[ast.stmt], platform: str) -> Iterator[ast.stmt]:
    """Statements with the questions for the interpreter answered, and those for the platform if it is one board's."""
    for statement in body:
        known = answer(statement.test, platform) if isinstance(statement, ast.If) else None
        if known is None:
            yield statement
        else:
            yield from fold(statement.body if known else statement.orelse, platform)


def answer(question: ast.expr, platform: str) -> bool | None:
    """What a test of MICROPYTHON or `sys.platform` comes to; None for anything else, and where it may be either."""
    text = ast.unparse(question).replace("sys.platform", "PLATFORM")
    names = {"MICROPYTHON": True} if platform == "unix" else {"MICROPYTHON": True, "PLATFORM": platform}
    if not {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} <= set(names):
        return None
    return bool(eval(text, {"__builtins__": {}}, names))


def reachable(body: list[ast.stmt], wanted: set[str]) -> Iterator[ast.stmt]:
    """The statements that define what is wanted or what that needs, and those that define nothing."""
    needs = {
        id(s): {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} for s in body
    }
    defines = {id(s): set(stored_names([s])) for s in body}
    wanted = set(wanted)
    kept: set[int] = set()
    while True:
        more = [s for s in body if id(s) not in kept and (not defines[id(s)] or defines[id(s)] & wanted)]
        if not more:
            break
        for statement in more:
            kept.add(id(statement))
            wanted |= needs[id(statement)]
    return (s for s in body if id(s) in kept and not is_text(s))


def is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def is_constant(node: ast.AST) -> bool:
    """Whether this is `NAME = const(…)`."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "const"
    )


def evaluate(expression: ast.expr, names: dict[str, int]) -> int | None:
    """The value of an expression over constants, or None when it is something else."""
    try:
        value = eval(compile(ast.Expression(expression), "const", "eval"), {"__builtins__": {}}, dict(names))
    except NameError:
        return None
    return value if isinstance(value, int) else None


def exports_of(tree: ast.Module) -> set[str]:
    """The names in `__all__`."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(statement.value))
    return set()


def defined_names(tree: ast.Module) -> set[str]:
    """What a module defines itself."""
    return set(stored_names([s for s in tree.body if not isinstance(s, ast.Import | ast.ImportFrom)])) - {"__all__"}


def stored_names(body: list[ast.stmt]) -> Iterator[str]:
    """Names bound by these statements, not looking into functions and classes."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield (alias.asname or alias.name).partition(".")[0]
        else:
            yield from bound_names(statement)


def bound_names(node: ast.AST) -> Iterator[str]:
    """Names bound in a statement, comprehensions and nested scopes left out."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            continue
        if isinstance(child, ast.stmt):
            yield from stored_names([child])
        else:
            yield from bound_names(child)


def local_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """What is local to a function."""
    arguments = node.args.args + [a for a in (node.args.vararg, node.args.kwarg) if a]
    names = {argument.arg for argument in arguments} | set(stored_names(node.body))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global):
            raise SystemExit(f"{node.name}: a global statement is not understood")
    return names


def listed(result: ast.AST | list[ast.stmt] | None) -> list[ast.stmt]:
    """What a visitor returned, as a list."""
    if result is None:
        return []
    return result if isinstance(result, list) else [result]  # type: ignore[list-item]
