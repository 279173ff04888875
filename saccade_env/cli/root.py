"""The command `saccade-env`, to which the other modules of this room add theirs."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from saccade_env.cli.console import clear_errors, note


class Commands(TyperGroup):
    """Whatever the command: Ctrl-C and what the user can mend end in one line."""

    def invoke(self, ctx: Any) -> Any:
        with clear_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Active vision on images: evaluate where to look, and record scanpaths."""
    warnings.showwarning = note
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may be in no known encoding
        sys.stdout.reconfigure(errors="backslashreplace")
