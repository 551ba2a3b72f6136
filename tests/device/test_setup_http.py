"""The set-up page's HTTP: what is a request, what is refused by which status, forms, responses."""

import unittest

from homeport_core.errors import MalformedError
from homeport_device.setup_http import (
    BAD,
    BODY_MAX,
    BODY_TOO_LONG,
    COMPLETE,
    HEAD_MAX,
    HEAD_TOO_LONG,
    LINE_MAX,
    LINE_TOO_LONG,
    MORE,
    NO_LENGTH,
    NOT_IMPLEMENTED,
    Request,
    parse_form,
    response,
)

GET = b"GET /?x=1 HTTP/1.1\r\nHost: 192.168.4.1\r\nAccept: */*\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHOST: A\r\nContent-Length: 7\r\n\r\nssid=ab"
REFUSED = (
    (b"GET /\r\n\r\n", BAD),
    (b"GET / HTTP/2.0\r\n\r\n", BAD),
    (b"GET  / HTTP/1.1\r\n\r\n", BAD),
    (b"GET http://a/ HTTP/1.1\r\n\r\n", BAD),
    (b"\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nHost a\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\n: a\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n", BAD),
    (b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", BAD),
    (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", BAD),
    (b"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", BAD),
    (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", BAD),
    (b"POST / HTTP/1.1\r\n\r\n", NO_LENGTH),
    (b"POST / HTTP/1.1\r\nContent-Length: 513\r\n\r\n", BODY_TOO_LONG),
    (b"POST / HTTP/1.1\r\nContent-Length: 000000000000001\r\n\r\n", BODY_TOO_LONG),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", NOT_IMPLEMENTED),
    (b"PUT / HTTP/1.1\r\n\r\n", NOT_IMPLEMENTED),
    (b"GET /" + b"a" * LINE_MAX + b" HTTP/1.1\r\n\r\n", LINE_TOO_LONG),
    (b"a" * (LINE_MAX + 2), LINE_TOO_LONG),
    (b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_MAX, HEAD_TOO_LONG),
    (b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_MAX + b"\r\n\r\n", HEAD_TOO_LONG),
)


class RequestTest(unittest.TestCase):
    def test_a_page_is_asked_for(self):
        request = Request()
        self.assertEqual(request.feed(GET), COMPLETE)
        self.assertEqual((request.method, request.path, request.host, request.body), ("GET", "/", "192.168.4.1", b""))

    def test_a_form_is_sent(self):
        request = Request()
        self.assertEqual(request.feed(POST), COMPLETE)
        self.assertEqual((request.method, request.host, request.body), ("POST", "a", b"ssid=ab"))

    def test_it_may_come_octet_by_octet_and_is_complete_with_the_last(self):
        for octets in (GET, POST):
            request = Request()
            for at in range(len(octets) - 1):
                self.assertEqual(request.feed(octets[at : at + 1]), MORE)
            self.assertEqual(request.feed(octets[-1:]), COMPLETE)

    def test_what_follows_a_form_is_not_part_of_it(self):
        request = Request()
        self.assertEqual(request.feed(POST + b"&more=x"), COMPLETE)
        self.assertEqual(request.body, b"ssid=ab")

    def test_the_longest_form_is_taken(self):
        request = Request()
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % BODY_MAX
        self.assertEqual(request.feed(head + b"a" * BODY_MAX), COMPLETE)
        self.assertEqual(len(request.body), BODY_MAX)

    def test_the_longest_line_and_head_are_taken_one_octet_more_is_not(self):
        for more, status in ((0, COMPLETE), (1, LINE_TOO_LONG)):
            line = b"GET /" + b"a" * (LINE_MAX - 14 + more) + b" HTTP/1.1"
            self.feed_both_ways(line + b"\r\n\r\n", status)
        for more, status in ((0, COMPLETE), (1, HEAD_TOO_LONG)):
            head = b"GET / HTTP/1.1\r\nX: "
            self.feed_both_ways(head + b"a" * (HEAD_MAX - len(head) + more) + b"\r\n\r\n", status)

    def feed_both_ways(self, octets, status):
        self.assertEqual(Request().feed(octets), status)
        request = Request()
        seen = MORE
        at = 0
        while seen == MORE:
            seen = request.feed(octets[at : at + 1])
            at += 1
        self.assertEqual(seen, status)

    def test_what_is_no_request_is_refused_by_its_status(self):
        for octets, status in REFUSED:
            with self.subTest(octets=octets[:60]):
                self.assertEqual(Request().feed(octets), status)

    def test_refusals_are_the_same_when_they_come_in_pieces(self):
        for octets, status in REFUSED:
            request = Request()
            seen = MORE
            for at in range(0, len(octets), 100):
                seen = request.feed(octets[at : at + 100])
                if seen != MORE:
                    break
            with self.subTest(octets=octets[:60]):
                self.assertEqual(seen, status)

    def test_never_more_is_kept_than_the_limits_allow(self):
        request = Request()
        for _ in range(1000):
            if request.feed(b"x: y\r\n") != MORE:
                break
        self.assertTrue(len(request._buf) <= HEAD_MAX + LINE_MAX)


class FormTest(unittest.TestCase):
    def test_fields_are_decoded(self):
        fields = parse_form(b"ssid=caf%C3%A9+1&password=a%26b%3D%2b&empty=&name")
        self.assertEqual(fields, {"ssid": "caf\u00e9 1", "password": "a&b=+", "empty": "", "name": ""})

    def test_an_empty_form_has_no_fields(self):
        self.assertEqual(parse_form(b""), {})

    def test_what_is_no_form_is_refused(self):
        for body in (
            b"a=%",
            b"a=%4",
            b"a=%zz",
            b"a=%+1",
            b"a=% 1",
            b"a=%ff",
            b"a=%C3",
            b"a=1&a=2",
            b"a&b&c&d&e&f&g&h&i",
        ):
            with self.subTest(body=body):
                with self.assertRaises(MalformedError):
                    parse_form(body)


class ResponseTest(unittest.TestCase):
    def test_it_says_how_long_it_is_and_that_nothing_follows(self):
        head, body = response(200, b"<p>").split(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 200 OK")
        self.assertEqual(body, b"<p>")
        for line in (b"Content-Length: 3", b"Connection: close", b"Cache-Control: no-store"):
            self.assertIn(line, lines)

    def test_no_script_and_no_frame_is_allowed(self):
        self.assertIn(b"default-src 'none'", response(200))
        self.assertIn(b"frame-ancestors 'none'", response(200))

    def test_it_leads_elsewhere(self):
        self.assertIn(b"\r\nLocation: http://192.168.4.1/\r\n", response(302, b"", "http://192.168.4.1/"))

    def test_each_status_of_a_refusal_has_a_phrase(self):
        for _, status in REFUSED:
            self.assertTrue(response(status).startswith(b"HTTP/1.1 %d " % status))


if __name__ == "__main__":
    unittest.main()
