"""One fuzz target per parser: `target(data)` may only raise what its parser documents; anything else is a crash."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import board_targets
import client_targets
import key_targets
import provisioning_targets
import query_file as query_file_vectors
import record_targets
import setup_targets
import stream_targets
import vector_files
from basestation_target import basestation
from device_bench import CLIENT, GSP, LAN_CLIENT, NSI, STRANGER, Bench
from gate_target import gate
from homeport.basestation.config import load_config
from homeport.client.profile import read_settings
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import Interface, InterfaceError
from homeport.client.queries.query import QueryError, ResponseError
from homeport_core import catalogue, legacy, payloads
from homeport_core.crypto import AesContext, NullContext
from homeport_core.errors import ConfigError, FullError, ProtocolError, StorageError
from homeport_core.packet import Packet, PacketWriter
from homeport_core.rpc import DOUBLE, HEX, INT32, RAW, UINT8, Reader, Writer, decode_fields, encode_fields
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from homeport_device.attach import ATTACHED
from homeport_device.output import LOCAL, REMOTE
from memory_files import MemoryFiles

Target = Callable[[bytes], None]

FIELDS = (("a", UINT8), ("b", RAW), ("c", (("d", INT32), ("e", (("f", HEX),)))), ("g", DOUBLE))
QUERIES = tuple(query for xml in query_file_vectors.VECTOR_FILES for query in Interface.parse(xml).queries)
PAYLOAD_PARSERS = (
    payloads.parse_id, payloads.parse_fp, payloads.parse_notify, payloads.parse_ipx, payloads.parse_version,
    payloads.parse_capability, payloads.parse_gw, payloads.parse_time, payloads.parse_piggy, payloads.parse_push,
    payloads.parse_items, payloads.parse_rendezvous_stats, payloads.parse_attach_stats, catalogue.parse_window,
    catalogue.parse_sack, catalogue.parse_gateway_nonce, catalogue.parse_gwws, catalogue.parse_ping,
    catalogue.parse_syslog_config, catalogue.parse_stats, catalogue.parse_connect_stats,
    catalogue.parse_connection_stats, catalogue.parse_push_data, catalogue.parse_basestation_auth,
    catalogue.parse_verify,
)  # fmt: skip


def packet(data: bytes) -> None:
    """A packet that decodes has payloads that cover it exactly, and is written again octet for octet."""
    decoded = Packet()
    try:
        decoded.decode_from(data)
    except ProtocolError:
        return
    writer = PacketWriter(bytearray(len(data) + 8))
    writer.reply_to(decoded, 0)
    payloads_found = decoded.payloads()
    for index, (kind, flags, octets) in enumerate(payloads_found):
        writer.add(kind, octets, flags)
        if index == len(payloads_found) - 2:
            writer.n -= decoded.overlap
    writer.finish()
    if writer.bytes() != data:
        raise AssertionError("a decoded packet is not what was decoded")


def payload(data: bytes) -> None:
    """The first octet picks the parser."""
    if data:
        try:
            PAYLOAD_PARSERS[data[0] % len(PAYLOAD_PARSERS)](data[1:])
        except ProtocolError:
            return


def opened(data: bytes) -> None:
    """Both suites over anything that decodes."""
    for context in (AesContext(bytes(range(96)), False), NullContext()):
        decoded = Packet()
        try:
            decoded.decode_from(bytearray(data))
            off, n = context.open_in_place(decoded)
        except ProtocolError:
            continue
        if not 0 <= off <= off + n <= len(data):
            raise AssertionError("plaintext outside the packet")


def legacy_header(data: bytes) -> None:
    """Discovery and clear RPC, both directions."""
    with suppress(ProtocolError):
        legacy.parse_discovery(legacy.parse_request(data)[2])
    with suppress(ProtocolError):
        legacy.find_names(legacy.parse_discovery_body(legacy.parse_response(data)[2])[1])


def parameters(data: bytes) -> None:
    """What decodes as parameters is encoded again to the octets that were read."""
    reader = Reader(data)
    try:
        values = decode_fields(FIELDS, reader)
    except ProtocolError:
        return
    writer = Writer(bytearray(len(data)))
    try:
        encode_fields(FIELDS, values, writer)
    except FullError:
        raise AssertionError("encoding takes more room than what was decoded")
    used = bytes(writer.buf[: writer.size()])
    number = struct.unpack(">d", used[-8:])[0]
    if not math.isnan(number) and used != data[: len(used)]:  # the octets of a NaN may change
        raise AssertionError("decoded parameters are not what was decoded")


def query_file(data: bytes) -> None:
    """A query file is read or refused; any answer to a query of it decodes or is refused."""
    try:
        interface = Interface.parse(data)
    except InterfaceError:
        return
    for query in interface.queries:
        with suppress(QueryError):
            query.encode_request({})
        with suppress(ResponseError):
            query.decode_response(data[:200])


def answer(data: bytes) -> None:
    """Whatever a device answers decodes to JSON or is refused."""
    for query in (*BUILTIN.queries, *QUERIES):
        with suppress(ResponseError):
            json.dumps(query.decode_response(data), allow_nan=False)


def device(data: bytes) -> None:
    """A device with a connected client takes anything, from anywhere, and keeps its registration and its client."""
    bench = Bench()
    bench.connected()
    for socket in (LOCAL, REMOTE):
        for source in (GSP, LAN_CLIENT, STRANGER):
            bench.deliver(socket, data, source)
    if bench.stack.state != ATTACHED or bench.stack.connections.find(NSI).peer != CLIENT or bench.app.runs:
        raise AssertionError("a stranger's datagram was believed")


def users(data: bytes) -> None:
    """A file of users loads, whole or in part, or closes the device; what was kept is stored and read alike."""
    file = AclFile("acl.bin", MemoryFiles({"acl.bin": data}))
    first, second = Acl(file), Acl(file)
    first.load()
    file.save(first)
    second.load()
    for acl in (first, second):
        acl.shown = [bytes(acl.record(slot)) for slot in acl.users()]
    if (first.shown, first.system, first.default_user) != (second.shown, second.system, second.default_user):
        raise AssertionError("a list of users changed by being stored")


def settings_file(data: bytes) -> None:
    """A basestation's or a profile's settings are accepted or refused by name."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for read in (load_config, read_settings):
            with suppress(ConfigError, StorageError):
                read(Path(file.name))


def seeds() -> list[bytes]:
    """Datagrams of a real device: where fuzzing starts."""
    found = []
    for name in ("secure_attach", "connect_rpc_relayed", "local_psk", "local_discovery", "push", "stream_echo"):
        found += [bytes.fromhex(entry["hex"]) for entry in vector_files.capture(name)["datagrams"] if "hex" in entry]
    found += [
        bytes.fromhex(entry["hex"]) for entry in vector_files.load("vectors-acl.json")["acl_files"] if "hex" in entry
    ]
    found += [b'{"version": 1, "basestation": "a:1", "pin": null}', b'public = "a"\ngate = "0.0.0.0:1"\n']
    return found + board_targets.SEEDS + setup_targets.SEEDS + query_file_vectors.VECTOR_FILES


TARGETS: dict[str, Target] = {
    "packet": packet,
    "payload": payload,
    "opened": opened,
    "legacy_header": legacy_header,
    "parameters": parameters,
    "query_file": query_file,
    "answer": answer,
    "basestation": basestation,
    "gate": gate,
    "device": device,
    "users": users,
    "settings_file": settings_file,
    **board_targets.TARGETS,
    **client_targets.TARGETS,
    **key_targets.TARGETS,
    **provisioning_targets.TARGETS,
    **record_targets.TARGETS,
    **setup_targets.TARGETS,
    **stream_targets.TARGETS,
}
