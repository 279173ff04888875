"""Figure 11: where the policies look."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import rows_of
from saccade_env.paper.figures import style
from saccade_env.paper.figures.crops import MAPS, pixels
from saccade_env.paper.figures.parts import Drawn, table
from saccade_env.paper.reading import (
    MAIN,
    SIZES,
    fovea_of,
    grid_of,
    name_of,
    number,
    percent,
    played,
    runs_of,
)
from saccade_env.paper.results import Results

_PAIR_LOOKS = (
    {"color": "#000000", "marker": "o", "linestyle": "-"},
    {"color": "#9a6700", "marker": "s", "linestyle": "--"},
    {"color": "#3d8fc4", "marker": "^", "linestyle": "-."},
)


def where(results: Results, folder: Path) -> Drawn:
    """Agreement, distance from the first fixation and unique area (figure 11)."""
    runs = runs_of(results, *SIZES, MAIN)
    runs = [name for name in runs if name in SIZES] or runs
    figure = style.drawing(10, 3.9 * len(runs))
    tables, texts = [], []
    for name, axes in zip(runs, figure.subplots(len(runs), 3, squeeze=False), strict=True):
        found = _paths(results, name)
        _row(results, name, found, axes)
        tables += [
            table(frame, f"{key.capitalize()}, {name}", _file(key, name), folder)
            for key, frame in found.items()
        ]
        texts.append(_path_text(results, name, found))
    shows = texts[0]
    alt = (
        "Lines against the saccade: how often two policies look at the same place, how far from "
        f"its first fixation a policy looks, and the share of tokens revealed. {shows}"
    )
    saved = style.save(figure, folder, "figure-11", alt)
    caption = (
        f"{results.records[runs[0]]['image'].nunique()} images. "
        "Two fixations agree if their foveas overlap."
    )
    return Drawn(shows, [saved], tables, caption)


def _paths(results: Results, name: str) -> dict[str, pd.DataFrame]:
    records, grid, fovea = results.records[name], grid_of(results, name), fovea_of(results, name)
    own = [policy for role, policy in played(results, records).items() if role in MAPS]
    found = {
        "distance from the first fixation": metrics.distance_from_first(records),
        "unique area": metrics.unique_area(records, grid, fovea),
    }
    if len(own) > 1:
        pairs = {
            f"{name_of(first)} – {name_of(second)}": metrics.fixation_agreement(
                records, first, second, within=fovea - 1, grid=grid, fovea=fovea
            )
            for first, second in combinations(own, 2)
        }
        found = {"agreement": pd.concat(pairs, names=["policies"]), **found}
    return found


def _row(results: Results, name: str, found: dict[str, pd.DataFrame], axes: Any) -> None:
    looks = style.styles(results, results.records[name], MAPS)
    last = results.records[name]["saccade"].max()
    title = f"images of {pixels(name)}" if name in SIZES else name
    for panel, (key, column, label, factor) in zip(
        axes,
        (
            ("agreement", "agreement", "images on which two agree (%)", 100),
            ("distance from the first fixation", "distance", "distance from first (tokens)", 1),
            ("unique area", "visible_share", "unique area (% of tokens)", 100),
        ),
        strict=True,
    ):
        if key not in found:
            panel.set_axis_off()
            continue
        own = _pair_looks(found[key]) if key == "agreement" else looks
        ends = style.curves(panel, found[key], column, own, factor)
        style.from_zero(panel)
        style.dress(panel, title, "saccade", label, xticks=range(1, last + 1, 3))
        if key == "agreement":
            low, high = panel.get_ylim()
            panel.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
            panel.legend(frameon=False, fontsize=7.5, loc="upper left", borderpad=0)
        else:
            style.name_ends(panel, ends, last)


def _pair_looks(table: pd.DataFrame) -> dict[str, Any]:
    pairs = list(dict.fromkeys(table.index.get_level_values(0)))
    return {
        pair: {**look, "label": pair, "markersize": 4}
        for pair, look in zip(pairs, _PAIR_LOOKS, strict=False)
    }


def _path_text(results: Results, name: str, found: dict[str, pd.DataFrame]) -> str:
    own = {r: p for r, p in played(results, results.records[name]).items() if r in MAPS}
    far, area = found["distance from the first fixation"], found["unique area"]
    looks = [
        f"{name_of(policy)} {number(rows_of(far, policy)['distance'].iloc[-1])} tokens from its "
        f"first fixation with {percent(rows_of(area, policy)['visible_share'].iloc[-1])} revealed"
        for policy in own.values()
    ]
    where = f"images of {pixels(name)}" if name in SIZES else name
    text = f"With {where}, the last fixations are: {'; '.join(looks)}."
    if "agreement" not in found:
        return text
    pairs = found["agreement"]["agreement"].groupby(level=0, sort=False)
    alike = [
        f"{pair} on {percent(values.iloc[0])} of the images at the first saccade and "
        f"{percent(values.iloc[-1])} at the last"
        for pair, values in pairs
    ]
    return f"{text} The foveas overlap: {'; '.join(alike)}."


def _file(key: str, name: str) -> str:
    return f"figure-11-{key.split()[0]}-{name.replace(' ', '-')}"
