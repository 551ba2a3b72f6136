"""`homeport label`: a device's label, to be printed."""

from __future__ import annotations

import typer

from homeport.cli.context import ask_label_secret
from homeport.cli.output import emit
from homeport.cli.provision_target import Id, LabelFiles, LabelSecretFile, Name, Replace, write_labels
from homeport.label import label_text
from homeport.provisioning.label import TERMINAL, Label, check_label_file

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def label(
    ctx: typer.Context,
    device_id: Id,
    files: LabelFiles = None,
    name: Name = None,
    label_secret_file: LabelSecretFile = None,
    replace: Replace = False,
) -> None:
    """Print a device's label again. Nobody but the device remembers its secret, so it is asked for."""
    for path in files or ():
        check_label_file(path, replace)
    secret = ask_label_secret(label_secret_file, device_id).key
    shown = Label(device_id, secret, name)
    write_labels(ctx, shown, files or [TERMINAL])
    emit(ctx, {"id": device_id, "label": label_text(device_id, secret)}, ())
