"""Figures 5 and 7: certainty along a scanpath, and the entropy of the map that it follows."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import (
    by_image,
    cell,
    policies_of,
    right_in_full,
    rows_of,
)
from saccade_env.paper.figures.recipe import Drawn, Numbers, Recipe, images_text, looks_of
from saccade_env.paper.findings import (
    Claim,
    Measured,
    halfway,
    of_attention,
    of_images,
    of_means,
    pair,
    weakest,
)
from saccade_env.paper.results import (
    ATTENTION,
    MAIN,
    PAIR,
    RANDOM,
    SAMPLES,
    NotRunError,
    Results,
    name_of,
    number,
    percent,
)

FEW = 5  # images; a group of fewer is in the table alone
_NEVER = "#8a3ffc"
_ROOM, _STEP = 2.4, 0.22  # saccades: for the labels, and between two marks of the full image


def certainty(results: Results) -> Drawn:
    """Certainty where the full image is right, and split by first correct saccade (figure 5)."""
    records = results.of(MAIN)
    own = results.pair(records)
    means = metrics.certainty_where_full_right(records)
    groups = metrics.certainty_by_first_correct(records[records["policy"].isin(own)])
    figure = style.figure(10, 7.8)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    style.panel(
        upper.subplots(), means, "certainty", looks_of(results, records, PAIR),
        "images that the full image classifies correctly", "certainty (%)",
        means["full_certainty"].iloc[0],
    )  # fmt: skip
    panels = lower.subplots(1, len(own), sharey=True, squeeze=False)[0]
    for policy, axes in zip(own, panels, strict=True):
        _groups(axes, groups, policy)
    shows = _certain(own, means, groups)
    alt = (
        "Above, certainty against the saccade for each policy; below, the same split into groups "
        "of images by the saccade at which they are first right."
    )
    numbers = [
        Numbers("Certainty where the full image is right", means, "certainty"),
        Numbers("Certainty by saccade of first correct", groups, "groups"),
    ]
    caption = (
        f"Images that the classifier gets right in full ({means['images'].max():.0f} images). "
        "Diamonds: certainty of the same group on the full image. Groups of fewer than "
        f"{FEW} images are not drawn; the intervals of the groups along the saccades are in the "
        "table."
    )
    return Drawn(figure, alt, shows, numbers, caption)


def _groups(axes: Any, groups: pd.DataFrame, policy: str) -> None:
    own = groups.loc[[policy]].droplevel("policy") if policy in groups.index else groups.iloc[:0]
    own = own[own["images"] >= FEW].reset_index()
    last = own["saccade"].max() if len(own) else 1
    firsts = [*np.unique(own["first_correct"].dropna()), np.nan]
    ends = []
    shades = [*style.shades(firsts[:-1]), _NEVER]
    for place, (first, shade) in enumerate(zip(firsts, shades, strict=True)):
        there = own["first_correct"]
        group = own[there.isna() if math.isnan(first) else there == first]
        if not group.empty:
            ends.append(_group(axes, group, first, shade, last + _ROOM + _STEP * place))
    axes.set_ylim(0, 100)
    ticks = [*range(1, int(last) + 1), last + _ROOM + len(firsts) / 2 * _STEP]
    style.dress(
        axes, f"{name_of(policy)}, by saccade of first correct", "saccade", "certainty (%)",
        xticks=ticks, xticklabels=[*map(str, ticks[:-1]), "full image"],
    )  # fmt: skip
    style.name_ends(axes, ends, last)


def _group(
    axes: Any, group: pd.DataFrame, first: float, shade: str, beside: float
) -> tuple[float, str, str]:
    never = math.isnan(first)
    line = {"linestyle": ":" if never else "-", "linewidth": 1.4, "color": shade}
    axes.plot(group["saccade"], 100 * group["certainty"], **line)
    now = group[group["saccade"] == first]
    axes.plot(now["saccade"], 100 * now["certainty"], marker="o", markersize=5, color=shade)
    full = group.iloc[:1]
    axes.errorbar(
        [beside], 100 * full["full_certainty"].to_numpy(dtype=float),
        style.errors(full, "full_certainty"), marker="D", markersize=3.5, color=shade, linewidth=1,
    )  # fmt: skip
    text = "never" if never else f"{first:.0f}"
    name = f"{text} ({group['images'].iloc[0]:.0f})"
    return 100 * float(group["certainty"].iloc[-1]), name, shade


def _certain(own: list[str], means: pd.DataFrame, groups: pd.DataFrame) -> str:
    last = {policy: rows_of(means, policy)["certainty"].iloc[-1] for policy in own}
    levels = [f"{percent(level)} under {name_of(policy)}" for policy, level in last.items()]
    full = percent(means["full_certainty"].iloc[0])
    text = f"At the last saccade, certainty is {' and '.join(levels)} (full image: {full})."
    return f"{text} {_first_against_late(groups, own[0])}".strip()


def _first_against_late(groups: pd.DataFrame, policy: str) -> str:
    if policy not in groups.index:
        return ""
    own = groups.loc[[policy]].droplevel("policy").reset_index()
    end = own[(own["saccade"] == own["saccade"].max()) & own["first_correct"].notna()]
    if end.empty:
        return ""
    ends = end.iloc[[0, -1]] if len(end) > 1 else end
    texts = [
        f"{percent(level)} for the images first right at saccade {first:.0f}"
        for level, first in zip(ends["certainty"], ends["first_correct"], strict=True)
    ]
    return f"Under {name_of(policy)} it then is {' and '.join(texts)}."


def near_full(results: Results) -> Measured:
    """Certainty at the last saccade less that on the full image, where that is right."""
    certainty = _full_right(results)
    full = of_attention(results, "full_certainty").iloc[:, 0]
    return of_images((certainty.iloc[:, -1] - full).dropna(), "at the last saccade")


def more_certain(results: Results) -> Measured:
    """Attention's lead over random in certainty, where it is least."""
    own, other = pair(results, MAIN, ATTENTION, RANDOM, "certainty")
    right = right_in_full(results.of(MAIN), results.roles[ATTENTION])
    return weakest((own - other).loc[right[own.index]])


def jump(results: Results) -> Measured:
    """Change of certainty when an image is first right, less its mean change otherwise."""
    steps = _full_right(results).diff(axis=1).iloc[:, 1:]
    first = _first(results)
    first = first[(first > 1) & first.index.isin(steps.index)]
    steps = steps.loc[first.index]
    there = steps.columns.to_numpy() == first.to_numpy()[:, None]
    step, others = steps.where(there).mean(axis=1), steps.where(~there).mean(axis=1)
    return of_images(step - others, "images first right after the first saccade")


def early_certain(results: Results) -> Measured:
    """Final certainty of the images that are right early, less that of those right late."""
    final = _full_right(results)
    last, half = final.iloc[:, -1], halfway(final)
    first = _first(results).reindex(last.index).dropna()
    early = (first <= half).astype(float)
    own = 100 * last[first.index]
    parts = pd.concat((own * early, early, own * (1 - early), 1 - early), axis=1)
    note = (
        f"certainty at the last saccade, images first right up to saccade {half} less those first "
        f"right after it ({early.sum():.0f} and {(1 - early).sum():.0f} images)"
    )
    found = of_means(parts, lambda m: m[0] / m[1] - m[2] / m[3], note)
    return found._replace(images=int(min(early.sum(), (1 - early).sum())))  # the smaller group


def _full_right(results: Results) -> pd.DataFrame:
    """Certainty of the images that the classifier gets right in full."""
    certainty = of_attention(results, "certainty")
    right = right_in_full(results.of(MAIN), results.roles[ATTENTION])
    return certainty.loc[right[certainty.index]]


def _first(results: Results) -> pd.Series:
    return metrics.first_correct(results.of(MAIN), results.roles[ATTENTION])


def entropy(results: Results) -> Drawn:
    """Map entropy against the saccade of first correct classification (figure 7)."""
    records, entropies = results.of(MAIN), results.entropies()
    there = entropies[entropies["policy"].isin(policies_of(records))]
    own = results.pair(there)
    known = there[there["policy"].isin(own)]
    means = metrics.entropy_by_first_correct(known, records)
    relation = metrics.entropy_relation(known, records)
    if means.empty:
        raise NotRunError("no image has a label")
    figure = style.figure(10, 4.4)
    looks = looks_of(results, records)
    for policy, axes in zip(own, figure.subplots(1, len(own), squeeze=False)[0], strict=True):
        last = by_image(records, policy, "saccade").shape[1]
        correlation = cast(pd.Series, relation.loc[policy])
        _entropy(axes, rows_of(means, policy), correlation, looks[policy], last)
    shows = _related(own, means, relation)
    alt = "Mean entropy of the map of the images first right at each saccade."
    numbers = [
        Numbers("Map entropy by saccade of first correct", means, "groups"),
        Numbers("Spearman correlation", relation, "correlation"),
    ]
    caption = f"{images_text(records)} Small numbers: images in each group."
    return Drawn(figure, alt, shows, numbers, caption)


def _entropy(
    axes: Any, means: pd.DataFrame, relation: pd.Series, look: dict[str, Any], last: int
) -> None:
    means = means.reset_index()
    means["place"] = means["first_correct"].fillna(last + 1)
    for part, mark in ((means.dropna(), look["marker"]), (means[means.isna().any(axis=1)], "X")):
        if not part.empty:
            axes.errorbar(
                part["place"], part["entropy"], style.errors(part, "entropy", 1), capsize=3,
                color=look["color"], marker=mark, markersize=6, linestyle="none",
            )  # fmt: skip
    for _, row in means.iterrows():
        axes.annotate(
            f"{row['images']:.0f}", (row["place"], 0.02), xycoords=axes.get_xaxis_transform(),
            ha="center", fontsize=7.5, color="#555555",
        )  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.12 * (high - low), high + 0.05 * (high - low))
    rho, *ends = (number(relation[key], 2) for key in ("rho", "low", "high"))
    ticks = [*range(1, last + 1), last + 1]
    title = f"{look['label']}: ρ = {rho} ({' to '.join(ends)})"
    style.dress(
        axes, title, "saccade of first correct classification",
        "map entropy (bits)", xticks=ticks, xticklabels=[*map(str, ticks[:-1]), "never"],
        xlim=(0.4, last + 1.6),
    )  # fmt: skip


def _related(own: list[str], means: pd.DataFrame, relation: pd.DataFrame) -> str:
    texts, nevers = [], []
    for policy in own:
        rho, low, high = (number(cell(relation, policy, key), 2) for key in ("rho", "low", "high"))
        texts.append(f"{rho} ({low} to {high}) for {name_of(policy)}")
        group = rows_of(means, policy)
        never = group[group.index.isna()]["entropy"]
        if len(never):
            nevers.append(f"{number(never.iloc[0], 2)} bits for {name_of(policy)}")
    missed = f" Images that are never right have {' and '.join(nevers)}." if nevers else ""
    return (
        "Spearman’s correlation of map entropy and the saccade of first correct classification is "
        f"{' and '.join(texts)}.{missed}"
    )


def relation(results: Results, role: str) -> Measured:
    """Spearman's correlation of map entropy and saccade of first correct classification."""
    records, entropies = results.of(MAIN), results.entropies()
    policy = results.policy(role, records)
    results.policy(role, entropies)
    own = entropies[entropies["policy"] == policy]
    row = cast(pd.Series, metrics.entropy_relation(own, records, SAMPLES).loc[policy])
    note = f"{row['never_correct']:.0f} images that are never right are left out"
    return Measured(Interval(row["rho"], row["low"], row["high"]), int(row["images"]), note)


RECIPES = (
    Recipe(
        5, "certainty",
        "Under attention, certainty comes near the level of the full image; under random "
        "fixations it stays lower. It jumps when an image is first right, and images that are "
        "right early are the most certain.",
        (MAIN,), certainty,
        (
            Claim(
                "certainty-near-full",
                "Certainty under attention comes near that on the full image.",
                "points", near_full, (ATTENTION,), "within", 10,
            ),
            Claim(
                "certainty-above-random",
                "Certainty under random fixations stays below that under attention at every "
                "saccade.",
                "points", more_certain, PAIR,
            ),
            Claim(
                "certainty-jumps", "Certainty jumps at the saccade where an image is first right.",
                "points", jump, (ATTENTION,),
            ),
            Claim(
                "early-most-certain", "Images that are right early are the most certain.",
                "points", early_certain, (ATTENTION,),
            ),
        ),
    ),
    Recipe(
        7, "entropy of the map",
        "The more even an attention map, the slightly later an image is first right; for random "
        "maps the relation is the opposite.",
        (MAIN,), entropy,
        (
            Claim(
                "entropy-attention",
                "The more even the attention map, the slightly later an image is first right.",
                "rho", partial(relation, role=ATTENTION), (ATTENTION,),
            ),
            Claim(
                "entropy-random", "For random maps, the relation of entropy is the opposite.",
                "rho", partial(relation, role=RANDOM), (RANDOM,), "below",
            ),
        ),
    ),
)  # fmt: skip
