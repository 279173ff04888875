"""How everything looks that this package draws, and how a figure is saved.

Colours follow Okabe and Ito, whose the colour-blind tell apart; markers and lines are for print.
Matplotlib comes without pyplot, so there is no global state and no window, and only when drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saccade_env.files import replacing

if TYPE_CHECKING:
    import pandas as pd

INK, QUIET, FAINT, PAPER, BLACK = "#1b2430", "#66717f", "#e6e9ee", "#ffffff", "#0b0f14"
BLUE, ORANGE, YELLOW, SKY = "#0072b2", "#d55e00", "#f5a623", "#56b4e9"
THEME = (INK, QUIET, FAINT, PAPER, BLACK, BLUE, ORANGE, YELLOW)  # of frames
# How lines are told apart, in this order.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": ORANGE, "marker": "D", "linestyle": (0, (7, 1.5))},
    {"color": "#008060", "marker": "^", "linestyle": (0, (5, 1.5, 1, 1.5))},
    {"color": "#b0508a", "marker": "v", "linestyle": (0, (3, 1.5))},
    {"color": "#000000", "marker": "s", "linestyle": (0, (1, 1.2))},
    {"color": "#e69f00", "marker": "P", "linestyle": "-"},
    {"color": SKY, "marker": "*", "linestyle": (0, (7, 1.5))},
)
LINE = {"markersize": 4, "linewidth": 1.6}
OTHER = {"color": "#7a7a7a", "marker": "x", "linestyle": "-"}
THIN = {"linewidth": 0.8, "markersize": 2.5, "alpha": 0.75}
FULL = {"color": "#555555", "linestyle": "--", "linewidth": 1.2}  # the full image's level
SMALL = 8.5  # points
_GAP = 0.15  # inches between two labels
_RC: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "saccade-env"}


def figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(drawn: Any, *paths: Path) -> None:
    """Write a figure in the formats of the suffixes; the same figure gives the same SVG.

    Raises:
        OSError: It cannot be written; the message names the file, and an older one stays.
    """
    import matplotlib

    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")  # once is enough for all files
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        with matplotlib.rc_context(_RC), replacing(path) as temporary:
            drawn.savefig(temporary, dpi=150, metadata=metadata)


def shades(values: Sequence[Any]) -> list[str]:
    """Colours from dark to light for what has an order."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = np.linspace(0.02, 0.72, max(len(values), 2))[: len(values)]
    return [to_hex(colormaps["viridis"](place)) for place in places]


def dress(axes: Any, title: str, across: str, up: str, **settings: Any) -> None:
    """Title, axis labels with units, a quiet grid."""
    axes.set(xlabel=across, ylabel=up, **settings)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def from_zero(axes: Any) -> None:
    """Let the vertical axis start at 0."""
    low, high = axes.get_ylim()
    least = min(0, axes.dataLim.ymin)  # infinite if there is nothing to draw
    axes.set_ylim(least if np.isfinite(least) else 0, high + 0.04 * (high - low))


def legend_below(drawn: Any, axes: Any) -> None:
    """Name the lines of these axes under the figure."""
    handles, names = axes.get_legend_handles_labels()
    fitting = int(14 * drawn.get_figwidth()) // (8 + max(map(len, names)))
    columns = max(1, min(len(names), 6, fitting))
    drawn.set_figheight(drawn.get_figheight() + 0.25 * (-(-len(names) // columns) - 1))
    drawn.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def full_line(axes: Any, level: float) -> None:
    """The level of the full image, a share from 0 to 1, as a line with its value."""
    if np.isfinite(level):
        axes.axhline(100 * level, **FULL)
        axes.annotate(
            f"full image {100 * level:.1f} %", (0.01, 100 * level), (0, 2), va="bottom",
            xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            color=FULL["color"], fontsize=SMALL,
        )  # fmt: skip


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


def bounds(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals of a column of means."""
    prefix = f"{column}_" if f"{column}_low" in table else ""
    low, high = (table[f"{prefix}{side}"].to_numpy(dtype=float) for side in ("low", "high"))
    return low, high


def errors(table: pd.DataFrame, column: str, factor: float = 100) -> np.ndarray:
    """Lengths of error bars, down and up."""
    low, high = bounds(table, column)
    mean = table[column].to_numpy(dtype=float)
    return np.asarray(factor * np.clip(np.stack((mean - low, high - mean)), 0, None))


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


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Rising values moved as little as need be for a gap between neighbours."""
    groups: list[list[float]] = []  # values of labels that touch

    def lowest(group: Sequence[float]) -> float:
        return sum(group) / len(group) - (len(group) - 1) * gap / 2

    for value in values:
        groups.append([value])
        while len(groups) > 1 and lowest(groups[-2]) + len(groups[-2]) * gap > lowest(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [lowest(group) + place * gap for group in groups for place in range(len(group))]
