"""The port of boards with the sockets of an ESP32."""

import board_port_tests

board_port_tests.run("esp32")
