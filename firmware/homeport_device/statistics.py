"""Reports to the basestation, in the clear, unanswered and switchable (specification, core 4.9, 8.3). Loaded with the
first of them.

Connection reports name the client and count its traffic; they are off unless a product asks for them, and local
connections are never reported (core 14 row 22).
"""

from homeport_core.compat import const
from homeport_core.payloads import build_attach_stats, build_id, build_ipx, build_items, build_rendezvous_stats
from homeport_core.spec import (
    ID_MAIL,
    ID_URL,
    NSI_ZERO,
    PL_ATTACH_STATS,
    PL_CONNECTION_INFO,
    PL_CP_ID,
    PL_IPX,
    PL_RENDEZVOUS_STATS,
    PL_SP_ID,
    PL_STATS,
    PL_VERSION,
    PT_STATS,
    STATS_ATTACH_FAIL,
    STATS_CONNECTION_CLOSE,
    STATS_CONNECTION_OPEN,
)

from homeport_device.identity import version_payload
from homeport_device.output import REMOTE

_LAYOUT = const(1)  # version octet of the statistics payloads
_SECURE = const(1)  # attach flag

# How a connection runs (core 2.21)
_TYPE_P2P = const(2)
_TYPE_RELAY = const(3)
_TYPE_TCP = const(4)


class Reports:
    """Writes STATS packets, unless switched off."""

    __slots__ = ("_config", "_output", "_port")

    def __init__(self, config: object, port: object, output: object) -> None:
        self._config = config
        self._port = port
        self._output = output

    def attach_failed(self, controller: bytes, status: int) -> None:
        """Why an attach did not succeed, to the controller."""
        if not self._config.attach_statistics:
            return
        self.begin(STATS_ATTACH_FAIL, NSI_ZERO, None)
        self._output.writer.add(PL_ATTACH_STATS, build_attach_stats(_LAYOUT, status, _SECURE))
        self._output.send(REMOTE, controller)

    def connection_opened(self, now_ms: int, connection: object, attach: object) -> None:
        """A remote connection got its first DATA packet; to the GSP."""
        self.begin(STATS_CONNECTION_OPEN, connection.nsi, connection)
        writer = self._output.writer
        writer.add(PL_IPX, build_ipx(self._port.local_endpoint(), attach.seen_as, attach.nat_type))
        search = connection.rendezvous
        if search is not None and search.wanted:
            ports = search.ports.tried if search.ports is not None else 0
            sockets = search.crowd.opened if search.crowd is not None else 0
            writer.add(
                PL_RENDEZVOUS_STATS,
                build_rendezvous_stats(_LAYOUT, search.client_nat, attach.nat_type, ports, sockets),
            )
        self.finish(now_ms, connection, attach)

    def connection_closed(self, now_ms: int, connection: object, attach: object) -> None:
        """A remote connection is gone, by close or by silence; to the GSP."""
        self.begin(STATS_CONNECTION_CLOSE, connection.nsi, connection)
        self.finish(now_ms, connection, attach)

    def begin(self, event: int, nsi: bytes, connection: object) -> None:
        """Write what each report begins with; of the connection's client where one is given."""
        config = self._config
        writer = self._output.writer
        writer.begin(PT_STATS, nsi)
        writer.add(PL_STATS, bytes((event,)))
        writer.add(PL_VERSION, version_payload(config))
        if connection is not None and config.client_names:
            writer.add(PL_CP_ID, build_id(ID_MAIL, connection.client_id))
        writer.add(PL_SP_ID, build_id(ID_URL, config.device_id.encode()))

    def finish(self, now_ms: int, connection: object, attach: object) -> None:
        """CONNECTION_INFO in the reference's order, then out."""
        traffic = connection.traffic
        traffic.grow_older(now_ms)
        kind = _TYPE_RELAY if connection.peer == attach.gsp else _TYPE_P2P
        if not isinstance(connection.socket, int):
            kind = _TYPE_TCP
        items = (
            (1, bytes((kind,))),
            (2, _u32(traffic.age_ms)),
            (4, _u32(traffic.sent)),
            (3, _u32(traffic.sent_len)),
            (6, _u32(traffic.received)),
            (5, _u32(traffic.received_len)),
            (7, connection.announced[:4]),
        )
        self._output.writer.add(PL_CONNECTION_INFO, build_items(items))
        self._output.send(attach.socket, attach.gsp)


def _u32(number: int) -> bytes:
    """Counters wrap on the wire."""
    return (number & 0xFFFFFFFF).to_bytes(4, "big")
