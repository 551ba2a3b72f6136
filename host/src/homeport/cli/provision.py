"""`homeport provision`: put identity, settings and users into a board, or into an image of its flash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from homeport.cli.context import LABEL_VARIABLE
from homeport.cli.firmware import KEY_VARIABLE
from homeport.cli.output import emit, progress
from homeport.cli.provision_sources import (
    WIFI_VARIABLE,
    LabelSecret,
    read_factory_users,
    read_key,
    read_label_secret,
    read_networks,
    registered,
)
from homeport.cli.provision_target import (
    BoardName,
    Id,
    ImageFile,
    LabelFiles,
    LabelSecretFile,
    Name,
    Port,
    Replace,
    begin_life,
    check_target,
    find_out,
    open_target,
    write_labels,
)
from homeport.errors import ConfigError
from homeport.label import grouped, label_text
from homeport.provisioning.board import Facts
from homeport.provisioning.data_set import DataSet, Identity, Wishes, assemble, check_replacement
from homeport.provisioning.label import Label, check_label_file
from homeport.provisioning.users import read_users

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def provision(
    ctx: typer.Context,
    device_id: Id,
    port: Port = None,
    image: ImageFile = None,
    board: BoardName = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"The device's key; or ${KEY_VARIABLE}, or it is asked for.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Draw a key, and tell the basestation in DIR.")
    ] = None,
    keep_key: Annotated[
        bool, typer.Option("--keep-key", help="The board keeps its key and label; write only what else is given.")
    ] = False,
    label_secret: Annotated[
        LabelSecret, typer.Option(help=f"Where the label's secret comes from, without a file or ${LABEL_VARIABLE}.")
    ] = LabelSecret.NEW,
    label_secret_file: LabelSecretFile = None,
    controllers: Annotated[
        list[str] | None,
        typer.Option("--controller", metavar="HOST:PORT", help="The basestation; default: what DNS says for DEVICE."),
    ] = None,
    name: Name = None,
    wifi: Annotated[
        list[str] | None, typer.Option(metavar="SSID", help="A Wi-Fi network, up to four; its password is asked for.")
    ] = None,
    wifi_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"The passwords, a line each; or ${WIFI_VARIABLE} for one.")
    ] = None,
    remote: Annotated[
        bool | None, typer.Option("--remote/--no-remote", help="The master switch: access through the internet.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another setting (docs/provisioning.md).")
    ] = None,
    users: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Replace the list of users by this one, of any version.")
    ] = None,
    factory_users: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|FINGERPRINT[=NAME]", help="Users of a new device, and after a factory reset."),
    ] = None,
    labels: LabelFiles = None,
    replace: Replace = False,
) -> None:
    """Put a device's identity, settings and users into a board, or into an image of its flash.

    All of it is checked before anything is written. The label's secret is shown once.
    """
    check_target(port, image)
    for path in labels or ():
        check_label_file(path, replace)
    if keep_key and (labels or key_file or directory or label_secret_file):
        raise ConfigError("with --keep-key there is neither another key nor another label")
    networks = read_networks(wifi or (), wifi_password_file)
    wishes = Wishes(controllers or (), name, networks, remote, settings or ())
    user_list = None if users is None else read_users(users)
    factory_list = read_factory_users(factory_users) if factory_users else None
    identity = None
    if not keep_key:
        secret = read_label_secret(label_secret, label_secret_file, device_id)
        identity = Identity(read_key(key_file, directory), secret)
    data = assemble(device_id, identity, wishes, user_list, factory_list)
    with open_target(ctx, port, image, board) as target:
        facts = find_out(ctx, target, board)
        check_replacement(facts.device_id, facts.records, data, replace)
        with registered(directory, device_id, identity.key if identity else None, replace):
            target.write(data, lambda line: progress(ctx, line))
        state = begin_life(ctx, target)
    _report(ctx, facts, data, identity, name, state, labels or ())


def _report(
    ctx: typer.Context,
    facts: Facts,
    data: DataSet,
    identity: Identity | None,
    name: str | None,
    state: str | None,
    labels: Sequence[str],
) -> None:
    document: dict[str, Any] = {"id": data.device_id, "board": str(facts), "written": sorted(data.payloads)}
    lines = [f"{data.device_id}: written and read back: {', '.join(sorted(data.payloads))}"]
    secret = identity.label_secret if identity else None
    if secret is not None:
        document |= {"label_secret": secret.hex(), "label": label_text(data.device_id, secret)}
        lines += [f"label secret {grouped(secret)}", "it is not shown again: put it on the device now"]
    if not isinstance(state, str):
        document["state"] = None
    else:
        document["state"] = state
        lines.append(f"the device says: {state}")
    emit(ctx, document, lines)
    if secret is not None:
        write_labels(ctx, Label(data.device_id, secret, name), labels)
