"""`saccade-env verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade_env.cli.console import numbers
from saccade_env.cli.options import BatchSize, Device, Limit, as_path
from saccade_env.cli.root import app


@app.command()
def verify(
    out: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Folder for verify.json and verify.md.",
            show_default=False,
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="Part to leave out: hashes, goldens, accuracy or speed; repeat for several.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str,
        typer.Option(help="Images for the accuracy: 'imagenette' (downloads), 'imagenet:ROOT', …"),
    ] = "imagenette",
    band: Annotated[
        str | None,
        typer.Option(
            help="Where the accuracy should be: 0.77,0.98. Default: what is known of the images.",
            show_default=False,
        ),
    ] = None,
    limit: Limit = None,
    batch_size: BatchSize = 32,
    device: Device = "cpu",
) -> None:
    """Check the published weights here: hashes, goldens, accuracy and speed, in one table.

    Downloads DINO ViT-S/16 and UNISAL (108 MB) and Imagenette (1.6 GB). Exit code 1 if anything
    differs, else 3 if anything could not be checked, such as without a network.
    """
    from rich.console import Console

    from saccade_env.task import check_device
    from saccade_env.verify import run
    from saccade_env.verify.accuracy import Band
    from saccade_env.verify.table import exit_code, in_short, write

    check_device(device)
    bounds = None if band is None else Band.of(numbers(band))
    settings = run.Settings(images, bounds, limit, batch_size, device, tuple(skip or ()))
    rows = list(run.verify(settings))
    Console().print(_table(rows))
    typer.echo(in_short(rows))
    for path in write(out, rows, run.about(settings)) if out else []:
        typer.echo(f"wrote {path}")
    raise typer.Exit(exit_code(rows))


def _table(rows: Any) -> Any:
    from rich.markup import escape

    from saccade_env.drawing.text import table
    from saccade_env.verify.table import COLUMNS

    built = table("", *COLUMNS)
    for row in rows:
        built.add_row(*map(escape, (row.what, row.expected, row.found, row.result)))
    return built
