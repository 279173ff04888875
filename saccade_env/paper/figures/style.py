"""How the paper's figures look. Matplotlib without pyplot: no global state, no window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from saccade_env.evaluation.metrics.tables import policies_of
from saccade_env.paper.results import (
    ATTENTION,
    CENTRE,
    CLASSICAL,
    DEEP,
    RANDOM,
    Results,
    name_of,
    percent,
    played,
)

# Okabe and Ito's colours, which the colour-blind tell apart; markers and lines for print.
STYLES: dict[str, dict[str, Any]] = {
    ATTENTION: {"color": "#0072b2", "marker": "o", "linestyle": "-"},
    DEEP: {"color": "#d55e00", "marker": "D", "linestyle": (0, (7, 1.5))},
    CLASSICAL: {"color": "#008060", "marker": "^", "linestyle": (0, (5, 1.5, 1, 1.5))},
    CENTRE: {"color": "#b0508a", "marker": "v", "linestyle": (0, (3, 1.5))},
    RANDOM: {"color": "#000000", "marker": "s", "linestyle": (0, (1, 1.2))},
}
OTHER = {"color": "#7a7a7a", "marker": "x", "linestyle": "-"}
THIN = {"linewidth": 0.8, "markersize": 2.5, "alpha": 0.75}
FULL = {"color": "#555555", "linestyle": "--", "linewidth": 1.2}
SMALL = 8.5  # points
_GAP = 0.15  # inches between two labels


def drawing(width: float, height: float) -> Any:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width, height), layout="constrained")


def styles(
    results: Results, table: pd.DataFrame, bold: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Policy → how it is drawn, the same in every figure; all but the ``bold`` roles are thin."""
    roles = {policy: role for role, policy in played(results, table).items()}
    order = [*roles, *(policy for policy in policies_of(table) if policy not in roles)]
    return {
        policy: {"label": name_of(policy), "markersize": 4, "linewidth": 1.6}
        | STYLES.get(roles.get(policy, ""), OTHER)
        | ({} if not bold or roles.get(policy) in bold else THIN)
        for policy in order
    }


def shades(values: Sequence[Any]) -> list[str]:
    """Colours from dark to light for what has an order."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = np.linspace(0.02, 0.72, max(len(values), 2))[: len(values)]
    return [to_hex(colormaps["viridis"](place)) for place in places]


def curves(
    axes: Any, table: pd.DataFrame, column: str, looks: Mapping[Any, Mapping[str, Any]],
    factor: float = 100, band: bool = True,
) -> list[tuple[float, str, str]]:  # fmt: skip
    """Draw a mean with its interval against the saccade, a line a key of the first level.

    Keys that the table lacks are left out.

    Returns:
        Height, label and colour of every line's end, see :func:`name_ends`.
    """
    ends, there = [], set(table.index.get_level_values(0))
    for key, look in looks.items():
        if key not in there:
            continue
        own = table.loc[key]
        across, up = own.index.to_numpy(), factor * own[column].to_numpy(dtype=float)
        axes.plot(across, up, **look)
        if band and "alpha" not in look:
            low, high = bounds(own, column)
            axes.fill_between(
                across, factor * low, factor * high, color=look["color"], alpha=0.15, linewidth=0
            )
        ends.append((float(up[-1]), str(look["label"]), str(look["color"])))
    return ends


def bounds(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals of a column of means."""
    prefix = f"{column}_" if f"{column}_low" in table else ""
    low, high = (table[f"{prefix}{side}"].to_numpy(dtype=float) for side in ("low", "high"))
    return low, high


def errors(table: pd.DataFrame, column: str, factor: float = 100) -> np.ndarray:
    """Lengths of error bars, down and up."""
    low, high = bounds(table, column)
    mean = table[column].to_numpy(dtype=float)
    return factor * np.clip(np.stack((mean - low, high - mean)), 0, None)


def name_ends(axes: Any, ends: Iterable[tuple[float, str, str]], across: float) -> None:
    """Write the lines' names at their right ends, apart from each other."""
    known = sorted(end for end in ends if np.isfinite(end[0]))
    low, high = axes.get_ylim()
    gap = _GAP * axes.figure.dpi / axes.get_window_extent().height * (high - low)
    heights = _apart([height for height, _, _ in known], gap)
    heights = [height - max(0, max(heights) - high) for height in heights]
    for height, (_, text, colour) in zip(heights, known, strict=True):
        axes.annotate(
            text, (across, height), (6, 0), textcoords="offset points", va="center",
            color=colour, fontsize=SMALL, annotation_clip=False,
        )  # fmt: skip


def full_line(axes: Any, level: float) -> None:
    """The level of the full image, a share from 0 to 1."""
    if np.isfinite(level):
        axes.axhline(100 * level, **FULL)
        axes.annotate(
            f"full image {percent(level)}", (0.01, 100 * level), (0, 2), va="bottom",
            xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            color=FULL["color"], fontsize=SMALL,
        )  # fmt: skip


def dress(axes: Any, title: str, across: str, up: str, **settings: Any) -> None:
    """Title, axis labels with units, a quiet grid."""
    axes.set(xlabel=across, ylabel=up, **settings)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#e6e9ee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def panel(
    axes: Any, table: pd.DataFrame, column: str, looks: Mapping[Any, Mapping[str, Any]],
    title: str, up: str, full: float = np.nan, factor: float = 100, band: bool = True,
    every: int = 1, named: bool = True,
) -> None:  # fmt: skip
    """Curves against the saccade, from 0, with their names at their ends.

    Args:
        axes: To draw into.
        table: First level of the index a key of ``looks``, second the saccade.
        column: A mean with its interval.
        looks: How each key is drawn.
        title: Above the panel.
        up: Label of the vertical axis.
        full: Level of the full image, a share from 0 to 1; NaN draws none.
        factor: From the table to the axis.
        band: Draw the intervals of lines that are not thin.
        every: Distance of the ticks, in saccades.
        named: Write the names at the ends.
    """
    ends = curves(axes, table, column, looks, factor, band)
    full_line(axes, full)
    from_zero(axes)
    ticks = np.unique(table.index.get_level_values("saccade"))
    dress(axes, title, "saccade", up, xticks=ticks[::every])
    if named:
        name_ends(axes, ends, ticks[-1] if len(ticks) else 1)


def from_zero(axes: Any) -> None:
    """Let the vertical axis start at 0."""
    low, high = axes.get_ylim()
    least = min(0, axes.dataLim.ymin)  # infinite if there is nothing to draw
    axes.set_ylim(least if np.isfinite(least) else 0, high + 0.04 * (high - low))


def _apart(values: list[float], gap: float) -> list[float]:
    """Rising values moved as little as need be for a gap between neighbours."""
    groups: list[list[float]] = []  # values of labels that touch
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_bottom(group, gap) + place * gap for group in groups for place in range(len(group))]


def _bottom(group: list[float], gap: float) -> float:
    return sum(group) / len(group) - (len(group) - 1) * gap / 2


def _top(group: list[float], gap: float) -> float:
    return sum(group) / len(group) + (len(group) - 1) * gap / 2
