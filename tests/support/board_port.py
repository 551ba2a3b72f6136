"""The port of boards in this process: `homeport_device.port` becomes `port_board`, on fake sockets and a fake radio.

Only on MicroPython's Unix port. Call before anything imports sockets or the port; what has them then runs unchanged.
"""

import sys

import fake_board


def install(platform):
    """Be that platform; returns the board, whose radio is off."""
    sys.path.insert(0, __file__.rpartition("/")[0] + "/fakes/%s_sockets" % platform)
    board = fake_board.load(platform)
    from homeport_device import port_board

    port_board.sys = fake_board.System
    sys.modules["homeport_device.port"] = port_board
    return board


def join(board, address="127.0.0.1"):
    """Join a network that gives this address."""
    board.chip.air = [fake_board.Network("home", "", address)]
    wifi = board.Hardware().wifi()
    wifi.start("board")
    wifi.join("home", "")
    board.chip.now_ms += fake_board.JOIN_MS
    if wifi.address() is None:
        raise AssertionError("the fake radio did not join")
