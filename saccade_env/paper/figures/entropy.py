"""Figure 7: the entropy of the map, and how soon an image is right."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import by_image, cell, policies_of, rows_of
from saccade_env.paper.figures.parts import (
    Drawn,
    Output,
    Recipe,
    images_text,
    looks_of,
    save,
    table,
)
from saccade_env.paper.findings import Claim, Measured
from saccade_env.paper.results import (
    ATTENTION,
    MAIN,
    RANDOM,
    SAMPLES,
    NotRunError,
    Results,
    entropies_of,
    name_of,
    number,
    pair_of,
    policy_of,
    records_of,
)


def entropy(results: Results, folder: Output) -> Drawn:
    """Map entropy against the saccade of first correct classification (figure 7)."""
    records, entropies = records_of(results, MAIN), entropies_of(results)
    there = entropies[entropies["policy"].isin(policies_of(records))]
    own = pair_of(results, there)
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
    alt = f"Mean entropy of the map of the images first right at each saccade. {shows}"
    numbers = [
        table(means, "Map entropy by saccade of first correct", "figure-7-groups", folder),
        table(relation, "Spearman correlation", "figure-7-correlation", folder),
    ]
    caption = f"{images_text(records)} Small numbers: images in each group."
    return Drawn(shows, [save(figure, folder, "figure-7", alt)], numbers, caption)


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
    records, entropies = records_of(results, MAIN), entropies_of(results)
    policy = policy_of(results, role, records)
    policy_of(results, role, entropies)
    own = entropies[entropies["policy"] == policy]
    row = cast(pd.Series, metrics.entropy_relation(own, records, SAMPLES).loc[policy])
    note = f"{row['never_correct']:.0f} images that are never right are left out"
    return Measured(Interval(row["rho"], row["low"], row["high"]), int(row["images"]), note)


RECIPES = (
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
