"""The contract tests of ports, on the port of boards; `board_port_esp32.py` and `board_port_rp2.py` run them."""

import asyncio
import sys
import unittest

import board_port


def run(platform):
    """All but the sockets that boards do not open beyond two."""
    board_port.join(board_port.install(platform))
    sys.path.insert(0, __file__.rpartition("/")[0] + "/../device")
    import test_port
    import test_port_tcp
    from homeport_device import port_board

    del test_port.Extra

    class OnBoards(test_port.PortCase):
        def test_there_are_no_extra_sockets(self):
            self.assertEqual(self.port.open_extra(), 0)

        def test_the_local_endpoint_is_the_stations_address(self):
            self.assertEqual(self.port.local_endpoint()[:4], test_port.LOOPBACK)

        def test_a_name_is_asked_of_the_networks_name_server(self):
            self.assertEqual(self._ask([self._answer]), [b"\xc0\x00\x02\x07"])

        def test_what_is_no_answer_is_waited_past_and_a_lost_question_asked_again(self):
            def number_changed(query):
                return b"\x00\x00" + self._answer(query)[2:] if query[:2] != b"\x00\x00" else b""

            self.assertEqual(self._ask([number_changed, self._answer]), [b"\xc0\x00\x02\x07"])

        def test_a_silent_name_server_holds_nothing_up_and_is_given_up(self):
            waits, port_board._DNS_WAITS_MS = port_board._DNS_WAITS_MS, (60, 60)
            try:
                self.assertEqual(self._ask([]), [])
            finally:
                port_board._DNS_WAITS_MS = waits
            self.assertTrue(self.turns > 5)

        def _answer(self, query):
            head = query[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
            return head + query[12:] + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\xc0\x00\x02\x07"

        def _ask(self, answers):
            """What the port makes of a name when its name server answers so, one for each question."""
            server, self.port.dns_port = self.port._free_socket()
            self.addCleanup(server.close)
            self.turns = 0

            async def script():
                self.port.resolve("hub.example")
                while len(self.driver.events) < 2:
                    self.turns += 1
                    await asyncio.sleep_ms(5)
                    try:
                        query, source = server.recvfrom(512)
                    except OSError:
                        continue
                    if answers:
                        server.sendto(answers.pop(0)(query), source)

            self.run_with(script)
            return self.driver.events[1][1]

    test_port.OnBoards = OnBoards
    for name in dir(test_port_tcp):
        if not hasattr(test_port, name):
            setattr(test_port, name, getattr(test_port_tcp, name))
    unittest.main("test_port")
