"""What clients ask for on streams: the command line, who may ask, the echo (specification, streams 5.2-5.4, 5.7)."""

import unittest

from homeport_core.errors import ConfigError
from homeport_core.stream_states import ABORTED
from homeport_core.ticks import PERIOD
from homeport_device.echo import EchoService
from homeport_device.queries import GUEST
from homeport_device.services import Services, Session
from stream_bench import ENDED, StreamBench


class Recorder(Session):
    """Keeps what comes behind the line."""

    def __init__(self, command):
        super().__init__(command.services, command.connection, command.stream)
        self.arguments = command.arguments
        self.got = b""
        self.is_lost = False

    def changed(self, now_ms, changes):
        self.got += self.stream.read()
        if self.stream.at_eof:
            self.end(now_ms)

    def lost(self):
        self.is_lost = True


class RecorderService:
    allow = GUEST

    def __init__(self):
        self.sessions = []

    def open(self, now_ms, command):
        self.sessions.append(Recorder(command))
        return self.sessions[-1]


class ServicesCase(unittest.TestCase):
    def setUp(self, start_ms=1000, **settings):
        self.recorder = RecorderService()
        self.bench = StreamBench(self.offer, start_ms, **settings)
        self.bench.connected()
        self.bench.peer()

    def offer(self, services):
        services.add(b"echo", EchoService(GUEST))
        services.add(b"keep", self.recorder)


class CommandLine(ServicesCase):
    def test_the_first_word_names_the_service_and_the_rest_is_its_own(self):
        self.bench.opened(b"keep these words\n")
        self.assertEqual(self.recorder.sessions[0].arguments, b"these words")

    def test_octets_behind_the_line_in_the_same_segment_belong_to_the_service(self):
        self.bench.opened(b"keep\nand what follows\nat once")
        self.assertEqual(self.recorder.sessions[0].got, b"and what follows\nat once")

    def test_a_line_may_come_in_pieces(self):
        stream = self.bench.opened()
        for piece in (b"k", b"ee", b"p it", b"\n", b"rest"):
            stream.write(self.bench.now_ms, piece)
            self.bench.run()
        self.assertEqual(self.recorder.sessions[0].arguments, b"it")
        self.assertEqual(self.recorder.sessions[0].got, b"rest")

    def test_a_carriage_return_before_the_newline_is_no_part_of_the_line(self):
        self.bench.opened(b"keep it\r\n")
        self.assertEqual(self.recorder.sessions[0].arguments, b"it")

    def test_a_word_that_only_begins_with_a_service_names_none(self):
        for word in (b"keeper", b"kee", b"", b" keep", b"KEEP", b"k\x00eep", bytes(range(128, 200))):
            line = word + b"\n"
            with self.subTest(line=line):
                stream = self.bench.opened(line)
                self.assertTrue(self.bench.refused(stream))
        self.assertEqual(self.recorder.sessions, [])

    def test_a_line_of_511_octets_is_read(self):
        self.bench.opened(b"keep " + b"x" * 506 + b"\n")
        self.assertEqual(self.recorder.sessions[0].arguments, b"x" * 506)

    def test_a_longer_line_is_refused_with_its_newline_in_the_same_segment_or_without(self):
        for line in (b"keep " + b"x" * 507 + b"\n", b"keep " + b"x" * 507, b"x" * 3000):
            with self.subTest(size=len(line)):
                self.assertTrue(self.bench.refused(self.bench.opened(line)))
        self.assertEqual(self.recorder.sessions, [])

    def test_a_stream_that_ends_before_the_newline_is_closed(self):
        stream = self.bench.opened(b"keep")
        stream.close(self.bench.now_ms)
        self.bench.pass_time(1500)
        self.assertIn(stream.state, ENDED)
        self.assertEqual(self.recorder.sessions, [])

    def test_a_stream_without_a_line_is_closed_in_time(self):
        for start_ms in (1000, PERIOD - 10000):
            with self.subTest(start_ms=start_ms):
                self.setUp(start_ms)
                stream = self.bench.opened(b"ke")
                for _ in range(3):
                    self.bench.pass_time(10500)
                    self.bench.deliver(1, self.bench.keep_alive(), self.bench.peers[0].source)
                self.assertTrue(self.bench.refused(stream))

    def test_what_a_refused_client_goes_on_sending_is_dropped(self):
        stream = self.bench.opened(b"nothing\n")
        for _ in range(30):
            stream.write(self.bench.now_ms, bytes(1000))
            self.bench.pass_time(20)
        stream.close(self.bench.now_ms)
        self.bench.pass_time(1500)
        self.assertIn(stream.state, ENDED)

    def test_a_service_that_is_offered_twice_is_a_mistake(self):
        services = Services(self.bench.app)
        services.add(b"echo", EchoService(GUEST))
        with self.assertRaises(ConfigError) as caught:
            services.add(b"echo", EchoService(GUEST))
        self.assertIn("echo", caught.exception.reason)


class Access(ServicesCase):
    def test_a_client_that_may_use_nothing_is_closed_before_its_line(self):
        self.bench.app.service_allowed = lambda connection, allow: False
        stream = self.bench.opened()
        stream.write(self.bench.now_ms, b"echo\nhello")
        stream.close(self.bench.now_ms)
        self.assertEqual(self.bench.read(stream), b"")
        self.assertIn(stream.state, ENDED)

    def test_each_service_has_its_own_permission(self):
        self.recorder.allow = 5
        self.bench.app.service_allowed = lambda connection, allow: allow == GUEST
        self.assertTrue(self.bench.refused(self.bench.opened(b"keep\n")))
        self.assertEqual(self.bench.opened(b"echo\n").read(), b"+\n")

    def test_the_permission_is_that_of_the_connection(self):
        asked = []
        self.bench.app.service_allowed = lambda connection, allow: asked.append(connection.nsi) or True
        self.bench.opened(b"echo\n")
        self.assertEqual(set(asked), {self.bench.peers[0].nsi})


class Ends(ServicesCase):
    def test_a_session_hears_that_the_client_aborted(self):
        stream = self.bench.opened(b"keep\n")
        stream.abort(self.bench.now_ms)
        self.bench.run()
        self.assertTrue(self.recorder.sessions[0].is_lost)

    def test_a_session_hears_that_the_connection_is_gone(self):
        self.bench.opened(b"keep\n")
        self.bench.advance(60000)
        self.assertTrue(self.recorder.sessions[0].is_lost)

    def test_closing_the_connection_resets_its_streams(self):
        stream = self.bench.opened(b"keep\n")
        self.bench.stack.datagram(self.bench.now_ms, 1, self.bench.close(), self.bench.peers[0].source)
        self.bench.run()
        self.assertEqual(stream.state, ABORTED)
        self.assertTrue(self.recorder.sessions[0].is_lost)


class Echo(ServicesCase):
    def test_it_answers_and_gives_everything_back_until_the_end(self):
        stream = self.bench.opened(b"echo\n")
        self.assertEqual(stream.read(), b"+\n")
        data = bytes(i * 7 & 0xFF for i in range(50000))
        sent = 0
        got = b""
        for _ in range(1000):
            if sent < len(data):
                sent += stream.write(self.bench.now_ms, data[sent:])
                if sent == len(data):
                    stream.close(self.bench.now_ms)
            self.bench.run()
            got += stream.read()
            self.bench.pass_time(5)
            if stream.at_eof:
                break
        self.assertEqual(got, data)
        self.bench.pass_time(1500)
        self.assertIn(stream.state, ENDED)

    def test_octets_behind_its_line_come_back_behind_its_answer(self):
        self.assertEqual(self.bench.opened(b"echo\nfirst words").read(), b"+\nfirst words")

    def test_a_client_that_does_not_read_is_waited_for(self):
        stream = self.bench.opened(b"echo\n")
        sent = 0
        for _ in range(200):
            sent += stream.write(self.bench.now_ms, bytes(5000))
            self.bench.pass_time(5)
        self.assertLess(sent, 1247 * 600)
        got = 0
        for _ in range(2000):
            got += len(stream.read())
            self.bench.pass_time(20)
            if got == sent + 2:
                break
        self.assertEqual(got, sent + 2)


if __name__ == "__main__":
    unittest.main()
