"""What the documents show exists: the imports of their Python, their commands and options, the files they link to."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
from homeport.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for pattern in ("*.md", "docs/*.md", "boards/*/*.md") for page in ROOT.glob(pattern))
TEXTS = {page: page.read_text() for page in PAGES}
BLOCKS = [block for page in TEXTS.values() for block in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)]
SNIPPETS = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line for language, text in BLOCKS if not language for line in text.splitlines() if line.startswith("homeport ")
]


def test_there_is_something_to_look_at():
    assert len(SNIPPETS) > 3
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python_compiles_and_imports_what_there_is(snippet):
    tree = compile(snippet, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module} has no {name.name}"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_their_options_exist(command):
    words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("document", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(document):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXTS[document]):
        assert (document.parent / target).exists(), target
