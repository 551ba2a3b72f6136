"""What strangers near a board can send it before it is set up, and what a name server can: HTTP, forms, DNS."""

from __future__ import annotations

from collections.abc import Callable

from homeport_core.errors import MalformedError
from homeport_device import setup_dns, setup_http
from homeport_device.dns_query import DnsQuery
from homeport_device.setup import Setup
from homeport_device.setup_page import page

Target = Callable[[bytes], None]

_ADDRESS = b"\xc0\xa8\x04\x01"
_PAGE_MAX = 6 * 1024


def http_request(data: bytes) -> None:
    """A request is the same in one piece and octet by octet, within its limits, or refused with a status."""
    whole, pieces = setup_http.Request(), setup_http.Request()
    status = whole.feed(data)
    for at in range(len(data)):
        if pieces.feed(data[at : at + 1]) != setup_http.MORE:
            break
    if status == setup_http.COMPLETE:
        if len(whole.body) > setup_http.BODY_MAX or not whole.path.startswith("/"):
            raise AssertionError("a request beyond its limits was taken")
        seen = [(request.method, request.path, request.host, request.body) for request in (whole, pieces)]
        if seen[0] != seen[1]:
            raise AssertionError("a request depends on how it arrives")
    elif status != setup_http.MORE:
        setup_http.response(status)


def http_form(data: bytes) -> None:
    """Whatever a form says, the page that answers it is small and has no markup of the form's."""
    try:
        fields = setup_http.parse_form(data)
    except MalformedError:
        return
    setup = Setup(0)
    setup.submit(0, fields.get("ssid", ""), fields.get("password", ""))
    octets = page(("name", "kind", "id", ()), setup, [(data, -50, True)], "token")
    if len(octets) > _PAGE_MAX or b"<script" in octets.lower():
        raise AssertionError("a form changed the page")


def dns_question(data: bytes) -> None:
    """An answer is short, and only for a question."""
    answer = setup_dns.answer(data, _ADDRESS)
    if answer is not None and (len(answer) > len(data) + 16 or data[2] & 0x80 or answer[:2] != data[:2]):
        raise AssertionError("not an answer to a question")


def dns_answer(data: bytes) -> None:
    """Addresses are four octets each, and few."""
    query = DnsQuery("hub.example", lambda n: data[:2] + bytes(n - len(data[:2])))
    for octets in (
        data,
        query.octets[:2] + b"\x81\x80" + query.octets[4:6] + data[:2] + bytes(4) + query.octets[12:] + data,
    ):
        addresses = query.addresses(octets)
        if addresses is not None and (len(addresses) > 6 or any(len(address) != 4 for address in addresses)):
            raise AssertionError("not addresses")


SEEDS = [
    b"GET / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: 192.168.4.1\r\nContent-Length: 9\r\n\r\nssid=home",
    b"token=00&ssid=caf%C3%A9&other=&password=a+b%26c",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03hub\x07example\x00\x00\x01\x00\x01",
    b"\x00\x02\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x10\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04abcd",
]
TARGETS: dict[str, Target] = {
    "http_request": http_request,
    "http_form": http_form,
    "dns_question": dns_question,
    "dns_answer": dns_answer,
}
