"""The watchdog of the simulated board."""

import _thread
import time

_WATCH_APART_S = 0.05


def start(board: object, timeout_ms: int) -> object:
    """One that looks from a thread of its own, so that it bites whatever the board is busy with."""
    dog = Watchdog(board, timeout_ms)
    _thread.start_new_thread(dog.watch, ())
    return dog


class Watchdog:
    """Calls `board.bite()` once nothing has fed it for so long; a thread looks."""

    def __init__(self, board: object, timeout_ms: int) -> None:
        self._board = board
        self._timeout_ms = timeout_ms
        self.feed()

    def feed(self) -> None:
        self._fed_ms = self._board.now_ms()

    def is_due(self) -> bool:
        return self._board.now_ms() - self._fed_ms > self._timeout_ms

    def watch(self) -> None:
        while not self.is_due():
            time.sleep(_WATCH_APART_S)
        self._board.bite()
