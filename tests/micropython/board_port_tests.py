"""The contract tests of ports, on the port of boards; `board_port_esp32.py` and `board_port_rp2.py` run them."""

import sys
import unittest

import board_port


def run(platform):
    """All but the sockets that boards do not open beyond two."""
    board_port.install(platform)
    sys.path.insert(0, __file__.rpartition("/")[0] + "/../device")
    import test_port
    import test_port_tcp

    del test_port.Extra

    class OnBoards(test_port.PortCase):
        def test_there_are_no_extra_sockets(self):
            self.assertEqual(self.port.open_extra(), 0)

        def test_the_local_endpoint_is_the_stations_address(self):
            self.assertEqual(self.port.local_endpoint()[:4], test_port.LOOPBACK)

    test_port.OnBoards = OnBoards
    for name in dir(test_port_tcp):
        if not hasattr(test_port, name):
            setattr(test_port, name, getattr(test_port_tcp, name))
    unittest.main("test_port")
