"""The command `saccade-env`, to which the other modules of this room add theirs."""

from __future__ import annotations

import io
import sys
import warnings
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from saccade_env.cli.console import note


class Commands(TyperGroup):
    """Whatever the command: Ctrl-C and what the user can mend end in one line; a bug does not."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            typer.secho("stopped", err=True)
            raise typer.Exit(130) from error
        except Exception as error:
            if not isinstance(error, mendable()) and "allocate memory" not in str(error):
                raise  # torch has no class for a CPU's memory that is full
            typer.secho(f"error: {str(error) or type(error).__name__}", fg="red", err=True)
            raise typer.Exit(1) from error


def mendable() -> tuple[type[Exception], ...]:
    """Wrong values, missing packages, and files that are not there, not whole or not what they say.

    Encodings and JSON are among the ValueErrors, rights and locks among the OSErrors.
    """
    import zipfile

    import pyarrow
    import safetensors
    import torch
    import yaml

    from saccade_env.classifiers.weights import WeightsError

    files = (EOFError, zipfile.BadZipFile, yaml.YAMLError, safetensors.SafetensorError)
    memory = (MemoryError, torch.cuda.OutOfMemoryError)
    tables = (pyarrow.ArrowException,)
    wrong = (ValueError, ImportError, OSError, FloatingPointError, WeightsError)
    return (*wrong, *files, *tables, *memory)


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("saccade-env"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and stop.")
    ] = False,
) -> None:
    """Active vision on images: evaluate where to look, and record scanpaths."""
    warnings.showwarning = note
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may be in no known encoding
        sys.stdout.reconfigure(errors="backslashreplace")
