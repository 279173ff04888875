"""Figures 10 and 11: single crops, accuracy and gaze with each policy's map, at UNISAL's sizes."""

from __future__ import annotations

from functools import partial
from itertools import combinations, pairwise
from typing import Any

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import cell, lengths, policies_of, rows_of
from saccade_env.paper.figures.recipe import (
    Drawn,
    Numbers,
    Recipe,
    accuracy_table,
    images_text,
    looks_of,
)
from saccade_env.paper.findings import Claim, Measured, at_sizes, lead, of_images, pair
from saccade_env.paper.results import (
    ATTENTION,
    CLASSICAL,
    CROPS,
    DEEP,
    MAIN,
    ROLES,
    SAMPLES,
    SIZES,
    NotRunError,
    Results,
    name_of,
    number,
    of_policies,
    percent,
)

MAPS = (ATTENTION, DEEP, CLASSICAL)
_PAIR_LOOKS = (
    {"color": "#000000", "marker": "o", "linestyle": "-"},
    {"color": "#9a6700", "marker": "s", "linestyle": "--"},
    {"color": "#3d8fc4", "marker": "^", "linestyle": "-."},
)


def single_crops(results: Results) -> Drawn:
    """Accuracy on a single crop, and per saccade with each map (figure 10)."""
    sizes = [size for size in SIZES if size in results.records]
    single = results.records.get(CROPS)
    if single is None and not sizes:
        raise NotRunError(f"neither the single crops nor {' nor '.join(SIZES)} were run")
    heights = [3.1] * (single is not None) + [4.2] * bool(sizes)
    figure = style.figure(10, sum(heights))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    texts, numbers, missing = [], [], [f"“{size}” was not run." for size in SIZES]
    if single is None:
        missing.append("The single crops were not run.")
    else:
        found = crop_table(results, single)
        _bars(results, parts[0].subplots(), single, found)
        texts.append(_crop_text(results, single, found))
        numbers.append(Numbers("Accuracy on a single crop", found, "crops"))
    if sizes:
        panels = parts[-1].subplots(1, len(sizes), squeeze=False)[0]
        found_at = {size: accuracy_table(results.records[size]) for size in sizes}
        ends = []
        for (size, found), axes in zip(found_at.items(), panels, strict=True):
            _accuracy(results, size, found, axes)
            numbers.append(Numbers(f"Accuracy per saccade, {size}", found, size))
            ends.append(_size_text(results, size, found))
            missing.remove(f"“{size}” was not run.")
        texts.append(f"At the last saccade, accuracy is {'; '.join(ends)}.")
    shows = " ".join([*texts, *missing])
    alt = "Bars of accuracy on one crop, lines of accuracy against the saccade."
    return Drawn(figure, alt, shows, numbers, _crop_caption(results, single, sizes))


def _accuracy(results: Results, size: str, found: pd.DataFrame, axes: Any) -> None:
    records = results.records[size]
    looks, full = looks_of(results, records, MAPS), metrics.full_image(records)["accuracy"]
    title = f"images of {pixels(size)} pixels"
    style.panel(axes, found, "accuracy", looks, title, "top-1 accuracy (%)", full)


def crop_table(results: Results, single: pd.DataFrame) -> pd.DataFrame:
    """Accuracy with its interval and the share of the image that a crop shows, a row a policy."""
    rows, (height, width) = {}, results.grids[CROPS]
    share = results.fovea(CROPS) ** 2 / (height * width)
    for policy in policies_of(single):
        own = single[(single["policy"] == policy) & (single["label"] >= 0)]
        found = metrics.interval(own["correct"].astype(float))
        rows[policy] = {
            "accuracy": found.value, "low": found.low, "high": found.high,
            "share": share, "images": len(own),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")


def _bars(results: Results, axes: Any, single: pd.DataFrame, found: pd.DataFrame) -> None:
    looks = looks_of(results, single)
    order = list(looks)[::-1]  # the paper's order, from above
    own = found.loc[order]
    axes.barh(
        range(len(order)), 100 * own["accuracy"], xerr=style.errors(own, "accuracy"), height=0.62,
        color=[looks[policy]["color"] for policy in order], alpha=0.6,
        error_kw={"ecolor": "#222222", "capsize": 3, "linewidth": 1.2},
    )  # fmt: skip
    for place, (value, high) in enumerate(zip(own["accuracy"], own["high"], strict=True)):
        axes.annotate(
            percent(value), (100 * max(value, high), place), (6, 0), va="center",
            textcoords="offset points", fontsize=style.SMALL,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [looks[policy]["label"] for policy in order])
    share = f"{percent(found['share'].mean())} of the image"
    style.dress(axes, f"single crop, {share}", "top-1 accuracy (%)", "")
    axes.grid(visible=False, axis="y")


def _crop_text(results: Results, single: pd.DataFrame, found: pd.DataFrame) -> str:
    order = list(looks_of(results, single))
    values = [f"{name_of(policy)} {percent(cell(found, policy, 'accuracy'))}" for policy in order]
    return f"Accuracy on the single crop: {', '.join(values)}."


def _size_text(results: Results, size: str, found: pd.DataFrame) -> str:
    own = results.played(results.records[size], MAPS).values()
    last = {policy: rows_of(found, policy)["accuracy"].iloc[-1] for policy in own}
    ends = [f"{percent(level)} with {name_of(policy)}" for policy, level in last.items()]
    return f"{', '.join(ends)} (images of {pixels(size)})"


def _crop_caption(results: Results, single: pd.DataFrame | None, sizes: list[str]) -> str:
    source = single if single is not None else results.records[sizes[0]]
    cropper = name_of(results.name("crop_classifier"))
    here = f" Crops are classified by {cropper}." if cropper and single is not None else ""
    return (
        f"{images_text(source)}{here} The paper classifies crops with ResNet-50 and takes the maps "
        "from DINO, UNISAL and GBVS."
    )


def pixels(size: str) -> str:
    """Height and width in the name of an experiment."""
    return size.split()[-1].replace("x", "×")


def crop_lead(results: Results, first: str, second: str) -> Measured:
    """A role's lead over another's in accuracy on a single crop."""
    if CROPS not in results.records:
        raise NotRunError("the single crops were not classified")
    single = results.of(CROPS)
    own, other = (
        crops[crops["label"] >= 0].set_index("image")["correct"].astype(float)
        for crops in (
            single[single["policy"] == results.policy(role, single)] for role in (first, second)
        )
    )
    return of_images((own - other).dropna())


def lead_at(results: Results, experiment: str, first: str, second: str, saccade: int) -> Measured:
    """A role's lead in accuracy over another's at one saccade."""
    own, other = pair(results, experiment, first, second)
    if saccade not in own:
        raise NotRunError(f"“{experiment}” has {own.shape[1]} saccades, and this needs {saccade}")
    return of_images(own[saccade] - other[saccade])


def where(results: Results) -> Drawn:
    """Agreement, distance from the first fixation and unique area (figure 11)."""
    runs = results.which(*SIZES, MAIN)
    runs = [name for name in runs if name in SIZES] or runs
    figure = style.figure(10, 3.9 * len(runs))
    numbers, texts = [], []
    for name, axes in zip(runs, figure.subplots(len(runs), 3, squeeze=False), strict=True):
        found = _paths(results, name)
        _row(results, name, found, axes)
        numbers += [
            Numbers(f"{key.capitalize()}, {name}", frame, f"{key.split()[0]} {name}")
            for key, frame in found.items()
        ]
        texts.append(_path_text(results, name, found))
    alt = (
        "Lines against the saccade: how often two policies look at the same place, how far from "
        "its first fixation a policy looks, and the share of tokens revealed."
    )
    caption = (
        f"{results.records[runs[0]]['image'].nunique()} images. "
        "Two fixations agree if their foveas overlap."
    )
    return Drawn(figure, alt, texts[0], numbers, caption)


def _paths(results: Results, name: str) -> dict[str, pd.DataFrame]:
    records, grid, fovea = results.records[name], results.grids[name], results.fovea(name)
    own = results.played(records, MAPS).values()
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
    own = results.played(results.records[name], MAPS).values()
    far, area = found["distance from the first fixation"], found["unique area"]
    looks = [
        f"{name_of(policy)} {number(rows_of(far, policy)['distance'].iloc[-1])} tokens from its "
        f"first fixation with {percent(rows_of(area, policy)['visible_share'].iloc[-1])} revealed"
        for policy in own
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


def alike_at_first(results: Results, name: str, first: str, second: str) -> Measured:
    """Share of images on which the first foveas of two roles overlap."""
    records = results.of(name)
    one, other = (results.policy(role, records) for role in (first, second))
    both = of_policies(records, one, other)
    within = results.fovea(name) - 1
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
        10, "single crops, and other saliency maps",
        "On a single crop, DINO’s attention does best, then UNISAL, the centre, GBVS and random. "
        "Over saccades DINO is about 5 points above both saliency models throughout; GBVS starts "
        "low and overtakes by the sixth.",
        (CROPS, "unisal 224x384", "unisal 288x384"), single_crops,
        (
            *(
                Claim(
                    f"crop-{first}-above-{second}".replace(" ", "-"),
                    f"On a single crop, {first} does better than {second}.",
                    "points", partial(crop_lead, first=first, second=second), (first, second),
                )
                for first, second in pairwise(ROLES)
            ),
            *(
                Claim(
                    f"attention-above-{other}".replace(" ", "-"),
                    f"Attention is above {other} at every saccade.",
                    "points", partial(at_sizes, lead, first=ATTENTION, second=other),
                    (ATTENTION, other),
                )
                for other in (DEEP, CLASSICAL)
            ),
            Claim(
                "classical-starts-below", "Classical saliency starts below deep saliency.",
                "points", partial(at_sizes, lead_at, first=CLASSICAL, second=DEEP, saccade=1),
                (CLASSICAL, DEEP), "below",
            ),
            Claim(
                "classical-overtakes", "By the sixth saccade classical saliency has overtaken.",
                "points", partial(at_sizes, lead_at, first=CLASSICAL, second=DEEP, saccade=6),
                (CLASSICAL, DEEP),
            ),
        ),
    ),
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
