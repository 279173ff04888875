"""The command `saccade-env`, to which the other modules of this room add theirs."""

from __future__ import annotations

import warnings

import typer

from saccade_env.cli.console import note

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Active vision on images: evaluate where to look, and record scanpaths."""
    warnings.showwarning = note
