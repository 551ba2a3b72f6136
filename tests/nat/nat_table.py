"""docs/nat.md, made from a run of the matrix."""

from matrix import CELLS, NATS, PAIRS, SPECIAL, Cell

_HEAD = """# Every NAT with every NAT

`make nat` runs this matrix with real processes in network namespaces (`tests/nat`) and writes this file; `make test`
runs it too and fails if a cell does not connect, or not by a path that theory allows.

All ends are processes of their own: the basestation, the light on Unix MicroPython, a client with its link to the gate
open. Routers are nftables NATs. Times are from `connect` to the first answer of a query, and to the moment when a
direct path carries the connection; the machine runs several dozen processes on two cores.

| kind | mapping | who may send to the mapped port |
|---|---|---|
| open | none: public addresses | anyone |
| full cone | one for all destinations | anyone |
| address restricted | one for all destinations | addresses that were sent to |
| port restricted | one for all destinations | endpoints that were sent to |
| symmetric, counting | one for each destination, ports in turn | the destination |
| symmetric | one for each destination, random ports | the destination |
| udp blocked | no UDP at all | nobody |

What stays relayed, and says why (`homeport status`, `why_relayed`): pairs of which both ends have another port for each
destination, so that neither can know where to send; ends that have no UDP; homes whose common NAT does not lead back
inside. A port mapping asked of the router (UPnP, NAT-PMP) could change only the first of these, on a router that gives
other ports to all and yet grants one: those are the NATs of providers and offices, which offer no such thing. So there
is none.
"""

_PAIRS_HEAD = """
## Client (rows) and device (columns)

Path in the end; milliseconds to the first answer / to the direct path.
"""

_SPECIAL_HEAD = """
## Special situations

| client | device | | path | first answer, ms | direct, ms | answer afterwards, ms |
|---|---|---|---|---|---|---|
"""


def document() -> str:
    """The whole file. Raises KeyError for a cell that was not measured."""
    connected = sum("last_path" in cell.measured for cell in CELLS)
    direct = sum(cell.measured.get("last_path") in ("direct", "local") for cell in CELLS)
    total = f"\n{connected} of {len(CELLS)} cells connect; {direct} of them directly.\n"
    return _HEAD + total + _PAIRS_HEAD + _pairs() + _SPECIAL_HEAD + "".join(_special(cell) for cell in SPECIAL)


def _pairs() -> str:
    lines = ["", "| | " + " | ".join(nat.value for nat in NATS) + " |", "|---" * (len(NATS) + 1) + "|"]
    for client in NATS:
        cells = " | ".join(_pair(PAIRS[client, device]) for device in NATS)
        lines.append(f"| **{client.value}** | {cells} |")
    return "\n".join(lines) + "\n"


def _pair(cell: Cell) -> str:
    measured = cell.measured
    direct = f" / {measured['direct_ms']}" if measured.get("direct_ms") is not None else ""
    return f"{measured['last_path']} {measured['first_ms']}{direct}"


def _special(cell: Cell) -> str:
    measured = cell.measured
    times = (measured["first_ms"], measured.get("direct_ms"), measured.get("again_ms"))
    columns = (
        cell.client,
        cell.device,
        cell.note,
        measured["last_path"],
        *("" if one is None else str(one) for one in times),
    )
    return f"| {' | '.join(columns)} |\n"
