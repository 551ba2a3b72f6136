"""The commands that talk to a device: discover, pair, call, status."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any

import typer
from homeport_core.spec import PORT_LOCAL

from homeport import wire
from homeport.cli.connecting import TIMEOUT_S, Path, PathOption, Target, TimeLimit, with_client, with_device
from homeport.cli.context import LABEL_VARIABLE, Settings, ask_label_secret, settings_of
from homeport.cli.output import emit, value_lines
from homeport.client import pairing as pairings
from homeport.client.acl import PERMISSION_ADMIN, User
from homeport.client.client import parse_target
from homeport.client.device import Device
from homeport.client.home import cache_interface, cached_interface
from homeport.client.network.search import DISCOVERY_MS, find_devices
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import MAX_XML_LEN, Interface
from homeport.client.queries.query import Event, QueryError
from homeport.client.session.refusals import UNKNOWN_QUERY
from homeport.errors import ConfigError, NotPaired, RefusedError
from homeport.files import read_bounded
from homeport.fingerprint import format_fingerprint
from homeport.wire import printable


def discover(
    ctx: typer.Context,
    address: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Ask this address only, instead of the whole network.")
    ] = None,
    timeout_s: TimeLimit = DISCOVERY_MS / 1000,
) -> None:
    """Find devices on the local network. Their answers are not authenticated."""
    at = _address(address) if address is not None else None
    found = asyncio.run(find_devices(timeout_ms=int(timeout_s * 1000), address=at))
    devices = [
        {"id": item.device_id, "address": wire.address_text(wire.address(item.endpoint)), "psk": item.psk}
        for item in found
    ]
    lines = [f"{item['id']:<40} {item['address']}" for item in devices]
    emit(ctx, {"devices": devices}, lines or ["no device answered"])


def pair(
    ctx: typer.Context,
    device: Target,
    user_name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the device calls this client; default: the profile's name.")
    ] = None,
    label_secret: Annotated[
        bool,
        typer.Option(
            "--label-secret",
            help=f"Use the secret on the device's label: ${LABEL_VARIABLE}, or ask on the terminal.",
        ),
    ] = False,
    label_secret_file: Annotated[
        FilePath | None, typer.Option(metavar="FILE", help="The same, with the secret in a file.")
    ] = None,
    timeout_s: TimeLimit = TIMEOUT_S,
) -> None:
    """Pair with a device on the local network, while it is open for pairing. The first to pair is its owner.

    By the secret on its label, client and device agree on an end-to-end key, which the basestation never sees.
    """
    name = user_name if user_name is not None else settings_of(ctx).profile_name()
    wanted = label_secret or label_secret_file
    label = ask_label_secret(label_secret_file, parse_target(device)[0]) if wanted else None
    pairing = with_client(ctx, device, lambda client: pairings.pair(client, device, name, label), timeout_s)
    user = pairing.user
    role = "owner" if user.permissions & PERMISSION_ADMIN else "guest"
    document = {
        "paired": True,
        "already_paired": pairing.was_known,
        "role": role,
        "encrypted": pairing.encrypted,
        "end_to_end": pairing.end_to_end,
        "reason": pairing.reason,
        **user_document(user),
    }
    secrecy = "encrypted" if pairing.encrypted else "in clear on the local network"
    done = "was paired already" if pairing.was_known else "paired"
    keyed = "yes" if pairing.end_to_end else "no"
    lines = [
        f"{device}: {done} as {role} {printable(user.name)!r} ({secrecy})",
        f"end-to-end: {keyed} ({pairing.reason})",
    ]
    emit(ctx, document, lines)


def call(
    ctx: typer.Context,
    device: Target,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Name of the query, with or without .json.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Parameters; lists as json='{\"request\":…}'.")
    ] = None,
    path: Path = PathOption.AUTO,
    interface: Annotated[
        FilePath | None,
        typer.Option(metavar="FILE.xml", help="The device's query file; kept for later calls to the same device."),
    ] = None,
    timeout_s: TimeLimit = TIMEOUT_S,
) -> None:
    """Run a query on a device and print its answer."""
    params = _parameters(parameters or [])
    device_id = parse_target(device)[0]
    described = _interface(settings_of(ctx), device_id, query, interface)
    described.query(query).encode_request(params)  # a mistake is found before anything is sent

    async def work(open_device: Device) -> dict[str, Any]:
        result = await open_device.call_with(query, params, int(timeout_s * 1000))
        return {
            "result": result,
            "path": open_device.path.value,
            "connect_ms": open_device.connect_ms,
            "call_ms": open_device.elapsed_ms,
        }

    document, elapsed_ms = with_device(ctx, device, work, path, timeout_s, described)
    summary = f"({document['path']}, {elapsed_ms} ms)"
    emit(ctx, document | {"elapsed_ms": elapsed_ms}, [*value_lines(document["result"]), summary])


def status(ctx: typer.Context, device: Target, path: Path = PathOption.AUTO, timeout_s: TimeLimit = TIMEOUT_S) -> None:
    """Show what a device says about itself and about this client."""

    async def work(open_device: Device) -> dict[str, Any]:
        document: dict[str, Any] = await open_device.status()
        try:
            document |= await open_device.call("get_interface_info")
        except RefusedError:
            document["interface_id"] = None  # not every device has one (application 2.5)
        try:
            document["user"] = user_document(await open_device.current_user())
        except (NotPaired, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code not in UNKNOWN_QUERY:
                raise
            document["user"] = None  # a stranger to the device, or it keeps no list of users
        return document

    document, _ = with_device(ctx, device, work, path, timeout_s)
    user = document["user"]
    shown = {name: value for name, value in document.items() if name != "user"}
    lines = value_lines(shown)
    lines.append(f"you are {user['name']!r}, {user['permissions']}" if user else "you are not paired")
    emit(ctx, document, lines)


def user_document(user: User) -> dict[str, str]:
    """Return a user as JSON; permissions as 8 hex digits."""
    return {
        "fingerprint": format_fingerprint(user.fingerprint),
        "name": printable(user.name),
        "permissions": f"{user.permissions:08x}",
    }


def _interface(settings: Settings, device_id: str, query: str, file: FilePath | None) -> Interface:
    """Return the description to use: the file's, else the one kept for this device, else what all devices answer."""
    if file is not None:
        xml = read_bounded(file, MAX_XML_LEN)
        parsed = Interface.parse(xml)
        cache_interface(settings.home, device_id, xml)
        return parsed.extended_by(BUILTIN)
    kept = cached_interface(settings.home, device_id)
    if kept is not None:
        return kept.extended_by(BUILTIN)
    if BUILTIN.find(query) is None:
        raise QueryError(
            f"no query {query[:64]!r} is known for {device_id}: pass its query file once with --interface FILE.xml "
            "(for an example device: 'homeport interface heat_pump > heat_pump.xml')",
            Event.INTERFACE_NOT_SET,
        )
    return BUILTIN


def _parameters(arguments: Sequence[str]) -> dict[str, str]:
    params: dict[str, str] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{printable(argument)!r} is not NAME=VALUE")
        if name in params:
            raise typer.BadParameter(f"{printable(name)!r} is given twice")
        params[name] = value
    return params


def _address(text: str) -> wire.Address:
    try:
        return wire.parse_address(text, PORT_LOCAL)
    except ValueError as error:
        raise ConfigError(str(error)) from error
