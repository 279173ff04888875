"""Figures 3 and 4: how often a classification is right, and how it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import rows_of
from saccade_env.paper.figures import style
from saccade_env.paper.figures.parts import Drawn, accuracy_table, images_text, table
from saccade_env.paper.reading import (
    MAIN,
    PAIR,
    name_of,
    pair_of,
    percent,
    played,
    records_of,
    runs_of,
)
from saccade_env.paper.results import Results

_FOVEAS = (MAIN, "fovea 5")
_COLOURS = (
    "Below, colours and lines are those of the policies above. “Again”: right before, then wrong; "
    "the paper counts wrong → right after a first change."
)
_FILLS: tuple[dict[str, Any], ...] = (
    {},
    {"markerfacecolor": "#ffffff"},
    {"marker": ".", "linewidth": 0.9},
)
CHANGES = {
    "right_to_wrong": "right → wrong", "wrong_to_right": "wrong → right",
    "right_again": "of these, again",
    "stayed_right": "stayed right", "stayed_wrong": "stayed wrong",
}  # fmt: skip


def per_saccade(results: Results, folder: Path) -> Drawn:
    """Accuracy and visible share per saccade, a row of panels a fovea (figure 3)."""
    runs = runs_of(results, *_FOVEAS)
    tables = {name: accuracy_table(results.records[name]) for name in runs}
    figure = style.drawing(10, 4.1 * len(runs))
    grid = figure.subplots(len(runs), 2, squeeze=False)
    for name, axes in zip(runs, grid, strict=True):
        _fovea(results, name, tables[name], axes)
    missing = [f"“{name}” was not run." for name in _FOVEAS if name not in runs]
    shows = " ".join([*_reached(results, tables), *missing])
    alt = f"Line charts of accuracy and visible share against the saccade. {shows}"
    saved = style.save(figure, folder, "figure-3", alt)
    numbers = table(
        pd.concat(tables, names=["experiment"]), "Accuracy and visible share per saccade",
        "figure-3", folder,
    )  # fmt: skip
    caption = f"{images_text(results.records[runs[0]])} Thin lines: the other policies."
    return Drawn(shows, [saved], [numbers], caption)


def changes(results: Results, folder: Path) -> Drawn:
    """Cumulative accuracy, transitions and counts of correct saccades (figure 4)."""
    records = records_of(results, MAIN)
    own = pair_of(results, records)
    means, full = accuracy_table(records), metrics.full_image(records)
    pair = records[records["policy"].isin(own)]
    moves, counts = metrics.transitions(pair), metrics.correct_counts(pair)
    figure = style.drawing(10, 7.8)
    axes = figure.subplots(2, 2)
    looks = style.styles(results, records, PAIR)
    _cumulative(axes[0, 0], means, looks, full["accuracy"])
    _counts(axes[0, 1], counts, {policy: looks[policy] for policy in own})
    for place, names in enumerate(([*CHANGES][:3], [*CHANGES][3:])):
        _moves(axes[1, place], moves, names, {policy: looks[policy] for policy in own})
    shows = " ".join(_changed(policy, means, moves, full["accuracy"]) for policy in own)
    alt = (
        "Four charts: cumulative accuracy, in how many saccades an image is right, how many "
        f"images change at each saccade and how many do not. {shows}"
    )
    saved = style.save(figure, folder, "figure-4", alt)
    numbers = [
        table(means[[c for c in means if "cumul" in str(c)]], "Cumulative accuracy",
              "figure-4-cumulative", folder),
        table(moves, "Transitions per saccade", "figure-4-transitions", folder),
        table(counts, "Counts of correct saccades", "figure-4-counts", folder),
    ]  # fmt: skip
    return Drawn(shows, [saved], numbers, f"{images_text(records)} Fovea of 3×3 tokens. {_COLOURS}")


def _fovea(results: Results, name: str, found: pd.DataFrame, axes: Any) -> None:
    records = results.records[name]
    looks = style.styles(results, records, PAIR)
    side = name.split()[-1]
    last = found.index.get_level_values("saccade").max()
    for place, (column, label) in enumerate(
        (("accuracy", "top-1 accuracy (%)"), ("visible_share", "visible share (% of tokens)"))
    ):
        ends = style.curves(axes[place], found, column, looks)
        if not place:
            style.full_line(axes[0], metrics.full_image(records)["accuracy"])
        style.from_zero(axes[place])
        title, ticks = f"fovea {side}×{side}", range(1, last + 1)
        style.dress(axes[place], title, "saccade", label, xticks=ticks)
        style.name_ends(axes[place], ends, last)


def _reached(results: Results, tables: dict[str, pd.DataFrame]) -> tuple[str, str]:
    accuracy, visible = (
        "; ".join(f"{_ends(results, name, tables[name][column])} with {name}" for name in tables)
        for column in ("accuracy", "visible_share")
    )
    name, found = next(iter(tables.items()))
    full = percent(metrics.full_image(results.records[name])["accuracy"])
    last = found.index.get_level_values("saccade").max()
    return (
        f"After {last} saccades, accuracy is {accuracy} (full image: {full}).",
        f"The share of tokens that is visible then is {visible}.",
    )


def _ends(results: Results, name: str, means: pd.Series) -> str:
    own = [p for role, p in played(results, results.records[name]).items() if role in PAIR]
    return " and ".join(f"{percent(means[p].iloc[-1])} under {name_of(p)}" for p in own)


def _cumulative(axes: Any, means: pd.DataFrame, looks: dict[str, Any], full: float) -> None:
    ends = style.curves(axes, means, "cumulative_accuracy", looks)
    style.full_line(axes, full)
    style.from_zero(axes)
    last = means.index.get_level_values("saccade").max()
    style.dress(
        axes, "right at least once so far", "saccade", "cumulative accuracy (%)",
        xticks=range(1, last + 1),
    )  # fmt: skip
    style.name_ends(axes, ends, last)


def _counts(axes: Any, counts: pd.DataFrame, looks: dict[str, Any]) -> None:
    width = 0.8 / len(looks)
    for place, (policy, look) in enumerate(looks.items()):
        own = rows_of(counts, policy)
        across = own.index.to_numpy() + (place - (len(looks) - 1) / 2) * width
        axes.bar(
            across, 100 * own["share"], width, yerr=style.errors(own, "share"), label=look["label"],
            facecolor=look["color"] if not place else "#ffffff", edgecolor=look["color"],
            hatch="" if not place else "////", error_kw={"linewidth": 1, "ecolor": "#444444"},
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=style.SMALL)
    style.dress(
        axes, "how often an image is right", "number of correct saccades", "images (%)",
        xticks=own.index,
    )  # fmt: skip


def _moves(axes: Any, moves: pd.DataFrame, names: Any, looks: dict[str, Any]) -> None:
    ends = []
    for name, fill in zip(names, _FILLS, strict=False):
        own = {policy: look | fill | {"label": CHANGES[name]} for policy, look in looks.items()}
        ends += style.curves(axes, moves, name, own)
    style.from_zero(axes)
    ticks = np.unique(moves.index.get_level_values("saccade"))
    title = "classifications that change" if "_to_" in names[0] else "classifications that stay"
    style.dress(axes, title, "saccade", "images (%)", xticks=ticks)
    style.name_ends(axes, ends, ticks[-1] if len(ticks) else 1)


def _changed(policy: str, means: pd.DataFrame, moves: pd.DataFrame, full: float) -> str:
    cumulative = rows_of(means, policy)["cumulative_accuracy"].iloc[-1]
    own = moves[moves.index.get_level_values("policy") == policy]
    change = own["right_to_wrong"] + own["wrong_to_right"]
    start = percent(change.iloc[0]) if len(change) else "–"
    end = percent(change.iloc[-1]) if len(change) else "–"
    return (
        f"Under {name_of(policy)}, {percent(cumulative)} of the images are right at least once "
        f"(full image: {percent(full)}), and the share that changes goes from {start} at the "
        f"second saccade to {end} at the last."
    )
