"""Tables for the terminal."""

from __future__ import annotations

from typing import Any


def table(heading: str, first: str, *others: str) -> Any:
    """A rich table that fits narrow terminals."""
    from rich import box
    from rich.table import Table

    built = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    built.add_column(first, no_wrap=True)
    for other in others:
        built.add_column(other)
    return built
