"""`saccade-env cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade_env.cli.console import (
    clear_errors,
)
from saccade_env.cli.root import app

cache_app = typer.Typer(no_args_is_help=True)
app.add_typer(cache_app, name="cache", help="Show or clear the saliency maps and weights on disk.")


@cache_app.command("info")
def cache_info() -> None:
    """Show what the cache holds, where it is and how big."""
    from rich.console import Console

    from saccade_env import cache_report

    with clear_errors():
        cache_report.show(Console())


@cache_app.command("clear")
def cache_clear(
    what: Annotated[str, typer.Argument(help="maps, weights or all.")] = "maps",
    yes: Annotated[bool, typer.Option("--yes", help="Remove weights without asking.")] = False,
) -> None:
    """Remove what the cache holds; it is computed or downloaded again when needed."""
    from saccade_env import cache_report

    with clear_errors():
        count = len([item for item in cache_report.items(what) if item.kind == "weights"])
        if count and not yes:
            typer.confirm(f"remove {count} weights, to be downloaded when needed?", abort=True)
        entries, size = cache_report.clear(what)
        typer.echo(f"removed {what}: entries {entries}, MB {cache_report.megabytes(size)}")
