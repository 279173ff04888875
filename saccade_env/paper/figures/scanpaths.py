"""Figure 11: where the policies look."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import lengths, rows_of
from saccade_env.paper.figures.crops import MAPS, pixels
from saccade_env.paper.figures.parts import Drawn, Output, Recipe, looks_of, save, table
from saccade_env.paper.findings import Claim, Measured, at_sizes, of_images, pair
from saccade_env.paper.results import (
    ATTENTION,
    CLASSICAL,
    DEEP,
    MAIN,
    SAMPLES,
    SIZES,
    Results,
    fovea_of,
    grid_of,
    name_of,
    number,
    of_policies,
    percent,
    played,
    policy_of,
    records_of,
    runs_of,
)

_PAIR_LOOKS = (
    {"color": "#000000", "marker": "o", "linestyle": "-"},
    {"color": "#9a6700", "marker": "s", "linestyle": "--"},
    {"color": "#3d8fc4", "marker": "^", "linestyle": "-."},
)


def where(results: Results, folder: Output) -> Drawn:
    """Agreement, distance from the first fixation and unique area (figure 11)."""
    runs = runs_of(results, *SIZES, MAIN)
    runs = [name for name in runs if name in SIZES] or runs
    figure = style.figure(10, 3.9 * len(runs))
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
    saved = save(figure, folder, "figure-11", alt)
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
    looks = looks_of(results, results.records[name], MAPS)
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
        named = key != "agreement"
        style.panel(
            panel, found[key], column, own, title, label, factor=factor, every=3, named=named
        )
        if not named:
            low, high = panel.get_ylim()
            panel.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
            panel.legend(frameon=False, fontsize=7.5, loc="upper left", borderpad=0)


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


def alike_at_first(results: Results, name: str, first: str, second: str) -> Measured:
    """Share of images on which the first foveas of two roles overlap."""
    records = records_of(results, name)
    one, other = (policy_of(results, role, records) for role in (first, second))
    both = of_policies(records, one, other)
    within = fovea_of(results, name) - 1
    table = metrics.fixation_agreement(both, one, other, within, samples=SAMPLES)
    columns = ["agreement", "agreement_low", "agreement_high"]
    found = Interval(*(float(100 * value) for value in table[columns].iloc[0]))
    note = f"first fixations within {within} tokens"
    return Measured(found, both["image"].nunique(), note)


def diverge(results: Results, name: str, first: str, second: str) -> Measured:
    """Growth of the distance between the fixations of two roles, from the first to the last."""
    rows, cols = (
        own - other
        for own, other in (pair(results, name, first, second, axis) for axis in ("row", "col"))
    )
    apart = lengths(rows, cols)
    note = "distance at the last saccade less that at the first"
    return of_images(apart.iloc[:, -1] - apart.iloc[:, 0], note, 1)


def farther(results: Results, name: str, first: str, second: str) -> Measured:
    """How much farther from its first fixation a role looks than another, over all saccades."""
    paths = zip(*(pair(results, name, first, second, axis) for axis in ("row", "col")), strict=True)
    own, other = (_reach(*path) for path in paths)
    note = "mean distance from the first fixation"
    return of_images(own - other, note, 1)


def _reach(row: pd.DataFrame, col: pd.DataFrame) -> pd.Series:
    """Mean distance from the first fixation of the later ones, by image."""
    rows, cols = (axis.sub(axis.iloc[:, 0], axis=0).iloc[:, 1:] for axis in (row, col))
    return lengths(rows, cols).mean(axis=1)


RECIPES = (
    Recipe(
        11, "where policies look",
        "DINO and UNISAL start alike and diverge. UNISAL stays near where it began, DINO and GBVS "
        "explore.",
        ("unisal 224x384", "unisal 288x384"), where,
        (
            Claim(
                "start-alike",
                "Attention and deep saliency start alike: most first fixations agree.",
                "%", partial(at_sizes, alike_at_first, first=ATTENTION, second=DEEP),
                (ATTENTION, DEEP), margin=50,
            ),
            Claim(
                "then-diverge", "Attention and deep saliency then diverge.",
                "tokens", partial(at_sizes, diverge, first=ATTENTION, second=DEEP),
                (ATTENTION, DEEP),
            ),
            *(
                Claim(
                    f"{role}-explores".replace(" ", "-"),
                    f"Deep saliency stays confined, while {role} explores.",
                    "tokens", partial(at_sizes, farther, first=role, second=DEEP), (role, DEEP),
                )
                for role in (ATTENTION, CLASSICAL)
            ),
        ),
    ),
)  # fmt: skip
