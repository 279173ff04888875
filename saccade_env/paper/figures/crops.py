"""Figure 10: single crops, and saccades with each map at UNISAL's image sizes."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import cell, policies_of, rows_of
from saccade_env.paper.figures.parts import (
    Drawn,
    Output,
    Recipe,
    accuracy_table,
    images_text,
    looks_of,
    save,
    table,
)
from saccade_env.paper.findings import Claim, Measured, at_sizes, lead, of_images, pair
from saccade_env.paper.page import Table
from saccade_env.paper.results import (
    ATTENTION,
    CENTRE,
    CLASSICAL,
    CROPS,
    DEEP,
    RANDOM,
    SIZES,
    NotRunError,
    Results,
    fovea_of,
    grid_of,
    name_of,
    percent,
    played,
    policy_of,
    run_name,
)

_ORDER = (ATTENTION, DEEP, CENTRE, CLASSICAL, RANDOM)  # of single crops, in the paper
MAPS = (ATTENTION, DEEP, CLASSICAL)


def single_crops(results: Results, folder: Output) -> Drawn:
    """Accuracy on a single crop, and per saccade with each map (figure 10)."""
    sizes = [size for size in SIZES if not results.records.get(size, pd.DataFrame()).empty]
    single = results.records.get(CROPS)
    if single is None and not sizes:
        raise NotRunError(f"neither the single crops nor {' nor '.join(SIZES)} were run")
    heights = [3.1] * (single is not None) + [4.2] * bool(sizes)
    figure = style.figure(10, sum(heights))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    texts, tables = _crops(results, single, parts[0], folder)
    more, others = _sizes(results, sizes, parts[-1], folder)
    missing = [f"“{size}” was not run." for size in SIZES if size not in sizes]
    missing += ["The single crops were not run."] if single is None else []
    shows = " ".join([*texts, *more, *missing])
    alt = f"Bars of accuracy on one crop, lines of accuracy against the saccade. {shows}"
    saved = save(figure, folder, "figure-10", alt)
    return Drawn(shows, [saved], [*tables, *others], _crop_caption(results, single, sizes))


def _crops(
    results: Results, single: pd.DataFrame | None, part: Any, folder: Output
) -> tuple[list[str], list[Table]]:
    if single is None:
        return [], []
    found = crop_table(results, single)
    _bars(results, part.subplots(), single, found)
    numbers = table(found, "Accuracy on a single crop", "figure-10-crops", folder)
    return [_crop_text(results, single, found)], [numbers]


def _sizes(
    results: Results, sizes: list[str], part: Any, folder: Output
) -> tuple[list[str], list[Table]]:
    if not sizes:
        return [], []
    ends, tables = [], []
    for size, axes in zip(sizes, part.subplots(1, len(sizes), squeeze=False)[0], strict=True):
        found = accuracy_table(results.records[size])
        looks = looks_of(results, results.records[size], MAPS)
        full = metrics.full_image(results.records[size])["accuracy"]
        title = f"images of {pixels(size)} pixels"
        style.panel(axes, found, "accuracy", looks, title, "top-1 accuracy (%)", full)
        name = f"figure-10-{size.replace(' ', '-')}"
        tables.append(table(found, f"Accuracy per saccade, {size}", name, folder))
        ends.append(_size_text(results, size, found))
    return [f"At the last saccade, accuracy is {'; '.join(ends)}."], tables


def crop_table(results: Results, single: pd.DataFrame) -> pd.DataFrame:
    """Accuracy with its interval and the share of the image that a crop shows, a row a policy."""
    rows, (height, width) = {}, grid_of(results, CROPS)
    share = fovea_of(results, CROPS) ** 2 / (height * width)
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
    own = [p for role, p in played(results, results.records[size]).items() if role in MAPS]
    last = {policy: rows_of(found, policy)["accuracy"].iloc[-1] for policy in own}
    ends = [f"{percent(level)} with {name_of(policy)}" for policy, level in last.items()]
    return f"{', '.join(ends)} (images of {pixels(size)})"


def _crop_caption(results: Results, single: pd.DataFrame | None, sizes: list[str]) -> str:
    source = single if single is not None else results.records[sizes[0]]
    cropper = name_of(run_name(results.run, "crop_classifier"))
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
    single = results.records[CROPS]
    own, other = (
        crops[crops["label"] >= 0].set_index("image")["correct"].astype(float)
        for crops in (
            single[single["policy"] == policy_of(results, role, single)] for role in (first, second)
        )
    )
    return of_images((own - other).dropna())


def lead_at(results: Results, experiment: str, first: str, second: str, saccade: int) -> Measured:
    """A role's lead in accuracy over another's at one saccade."""
    own, other = pair(results, experiment, first, second)
    if saccade not in own:
        raise NotRunError(f"“{experiment}” has {own.shape[1]} saccades, and this needs {saccade}")
    return of_images(own[saccade] - other[saccade])


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
                for first, second in pairwise(_ORDER)
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
)  # fmt: skip
