"""What `make hil` was asked for, checked before anything begins: a simulated board must not pass for a real one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from homeport.boards.descriptors import board_names, load_board

SIMULATED = "unix"
WIFI_SIMULATED = "home"


@dataclass(frozen=True)
class Choice:
    """A board; without a port the simulated one."""

    name: str
    port: str | None
    wifi: str


def choose(environment: Mapping[str, str]) -> Choice:
    """The choice in HIL_BOARD, HIL_PORT and HIL_WIFI. Raises ValueError with one line for the person who made it."""
    name = environment.get("HIL_BOARD", SIMULATED)
    port, wifi = environment.get("HIL_PORT"), environment.get("HIL_WIFI")
    boards = [board for board in board_names() if board == SIMULATED or load_board(board).kind]
    if name not in boards:
        raise ValueError(f"no board {name!r} for the bench: make hil BOARD=…, one of {', '.join(boards)}")
    if name == SIMULATED:
        return Choice(name, None, WIFI_SIMULATED)
    if port is None or wifi is None:
        raise ValueError(f"a real board needs a port and a network: make hil BOARD={name} PORT=/dev/ttyUSB0 WIFI=SSID")
    if not Path(port).exists():
        raise ValueError(f"there is no port {port}")
    return Choice(name, port, wifi)
