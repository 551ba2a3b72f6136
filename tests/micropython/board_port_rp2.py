"""The port of boards with the sockets of an RP2."""

import board_port_tests

board_port_tests.run("rp2")
