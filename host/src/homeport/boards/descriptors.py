"""Where the boards' descriptors are: in `boards/` of the tree, which installs as the package `homeport_boards`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from homeport.boards.board import Board, parse_board
from homeport.errors import ConfigError
from homeport.files import read_bounded

_PACKAGE = "homeport_boards"
_FILE = "board.json"
_FILE_MAX = 16 * 1024


def boards_directory() -> Path:
    """Where the boards' folders are; raises ConfigError when they are not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError("the boards' files are not installed here: they come with homeport-device")
    return Path(found.submodule_search_locations[0])


def board_names() -> list[str]:
    """All boards that there are."""
    return sorted(path.parent.name for path in boards_directory().glob(f"*/{_FILE}"))


def load_board(name: str) -> Board:
    """The board of that name. Raises ConfigError that names file, field and what was expected; StorageError."""
    if name not in board_names():
        raise ConfigError(f"no board {name[:40]!r}: there are {', '.join(board_names())}")
    path = boards_directory() / name / _FILE
    try:
        return parse_board(name, read_bounded(path, _FILE_MAX))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def pins_file(board: Board) -> Path:
    """The board's table of pins."""
    return boards_directory() / board.name / "pins.py"
