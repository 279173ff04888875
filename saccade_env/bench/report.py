"""The benchmark's table, for people and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade_env.bench.lines import Line


def as_json(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """``{line: {value, target, met, min, median, max}}``."""
    return {
        line.name: {
            "value": line.value,
            "target": line.target,
            "met": line.met,
            "min": min(line.ratios),
            "median": line.value,
            "max": max(line.ratios),
        }
        for line in lines
    }


def show(lines: Sequence[Line], console: Any) -> None:
    """Print the table, what its lines mean, and how many threads computed."""
    import torch

    console.print(table(lines))
    for line in lines:
        console.print(f"{line.name}: {line.meaning}", highlight=False)
    console.print(f"torch threads: {torch.get_num_threads()}", highlight=False)


def table(lines: Sequence[Line]) -> Any:
    """A rich table."""
    from saccade_env.drawing.text import table as new_table

    built = new_table("", "line", "median", "min", "max", "target", "met")
    for line in lines:
        numbers = [_number(x) for x in (line.value, min(line.ratios), max(line.ratios))]
        target = "" if line.target is None else f"{'≥' if line.at_least else '≤'} {line.target:g}"
        met = {None: "", True: "yes", False: "NO"}[line.met]
        built.add_row(line.name, *numbers, target, met)
    return built


def cost_table(rows: Sequence[dict[str, float]]) -> Any:
    """Cost per saccade as a rich table."""
    from saccade_env.drawing.text import table as new_table

    built = new_table(
        "ViT-S/16, ms an image", "saccade", "tokens seen", "dense", "recompute", "KV cache"
    )
    for row in rows:
        ways = [f"{row[way]:.1f}" for way in ("dense", "recompute", "kv_cache")]
        built.add_row(f"{row['saccade']:.0f}", f"{row['tokens']:.1f}", *ways)
    return built


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
