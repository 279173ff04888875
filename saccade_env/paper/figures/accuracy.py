"""Figures 3 and 4: how often a classification is right, and how it changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import right_in_full, rows_of
from saccade_env.paper.figures.recipe import (
    Drawn,
    Numbers,
    Recipe,
    accuracy_table,
    images_text,
    looks_of,
)
from saccade_env.paper.findings import (
    Claim,
    Measured,
    halfway,
    lead,
    of_attention,
    of_images,
    of_means,
    pair,
)
from saccade_env.paper.results import ATTENTION, MAIN, PAIR, RANDOM, Results, name_of, percent

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


def per_saccade(results: Results) -> Drawn:
    """Accuracy and visible share per saccade, a row of panels a fovea (figure 3)."""
    runs = results.which(*_FOVEAS)
    tables = {name: accuracy_table(results.records[name]) for name in runs}
    figure = style.figure(10, 4.1 * len(runs))
    grid = figure.subplots(len(runs), 2, squeeze=False)
    for name, axes in zip(runs, grid, strict=True):
        _fovea(results, name, tables[name], axes)
    missing = [f"“{name}” was not run." for name in _FOVEAS if name not in runs]
    shows = " ".join([*_reached(results, tables), *missing])
    alt = "Line charts of accuracy and visible share against the saccade."
    joined = pd.concat(tables, names=["experiment"])
    numbers = Numbers("Accuracy and visible share per saccade", joined)
    caption = f"{images_text(results.records[runs[0]])} Thin lines: the other policies."
    return Drawn(figure, alt, shows, [numbers], caption)


def changes(results: Results) -> Drawn:
    """Cumulative accuracy, transitions and counts of correct saccades (figure 4)."""
    records = results.of(MAIN)
    own = results.pair(records)
    means, full = accuracy_table(records), metrics.full_image(records)
    pair = records[records["policy"].isin(own)]
    moves, counts = metrics.transitions(pair), metrics.correct_counts(pair)
    figure = style.figure(10, 7.8)
    axes = figure.subplots(2, 2)
    looks = looks_of(results, records, PAIR)
    style.panel(
        axes[0, 0], means, "cumulative_accuracy", looks, "right at least once so far",
        "cumulative accuracy (%)", full["accuracy"],
    )  # fmt: skip
    _counts(axes[0, 1], counts, {policy: looks[policy] for policy in own})
    for place, names in enumerate(([*CHANGES][:3], [*CHANGES][3:])):
        _moves(axes[1, place], moves, names, {policy: looks[policy] for policy in own})
    shows = " ".join(_changed(policy, means, moves, full["accuracy"]) for policy in own)
    alt = (
        "Four charts: cumulative accuracy, in how many saccades an image is right, how many "
        "images change at each saccade and how many do not."
    )
    numbers = [
        Numbers("Cumulative accuracy", means.filter(like="cumul"), "cumulative"),
        Numbers("Transitions per saccade", moves, "transitions"),
        Numbers("Counts of correct saccades", counts, "counts"),
    ]
    caption = f"{images_text(records)} Fovea of 3×3 tokens. {_COLOURS}"
    return Drawn(figure, alt, shows, numbers, caption)


def _fovea(results: Results, name: str, found: pd.DataFrame, axes: Any) -> None:
    records = results.records[name]
    looks, side = looks_of(results, records, PAIR), name.split()[-1]
    title, full = f"fovea {side}×{side}", metrics.full_image(records)["accuracy"]
    style.panel(axes[0], found, "accuracy", looks, title, "top-1 accuracy (%)", full)
    style.panel(axes[1], found, "visible_share", looks, title, "visible share (% of tokens)")


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
    own = results.played(results.records[name], PAIR).values()
    return " and ".join(f"{percent(means[p].iloc[-1])} under {name_of(p)}" for p in own)


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


def steepness(results: Results) -> Measured:
    """Gain in accuracy in the first half of the saccades, less that in the second."""
    correct = of_attention(results, "correct")
    first, half, last = correct.iloc[:, 0], correct[halfway(correct)], correct.iloc[:, -1]
    levels = [percent(float(part.mean())) for part in (first, half, last)]
    note = (
        f"gain up to saccade {halfway(correct)} less the gain after it; accuracy goes from "
        f"{levels[0]} to {levels[1]}, then to {levels[2]}"
    )
    return of_images((half - first) - (last - half), note)


def fewer_tokens(results: Results, experiment: str) -> Measured:
    """Tokens that random fixations reveal more than attention, after the last saccade."""
    own, other = pair(results, experiment, RANDOM, ATTENTION, "visible_share")
    rows, cols = results.grids[experiment]
    more = own.iloc[:, -1] - other.iloc[:, -1]
    return of_images(more, f"of {rows * cols} tokens, after the last saccade", rows * cols)


def beyond_full(results: Results) -> Measured:
    """Images right at least once less images right in full."""
    records = results.of(MAIN)
    correct = of_attention(results, "correct")
    full = right_in_full(records, results.policy(ATTENTION, records)).astype(float)
    return of_images(correct.max(axis=1) - full, "cumulative less full-image accuracy")


def early_changes(results: Results) -> Measured:
    """Share of the changes that fall in the first half of the saccades."""
    correct = of_attention(results, "correct").dropna()
    change = correct.diff(axis=1).abs().iloc[:, 1:]
    early = change.loc[:, : halfway(correct)].sum(axis=1)
    parts = pd.concat((early, change.sum(axis=1)), axis=1)
    note = (
        f"changes up to saccade {halfway(correct)}, of all; as many at each saccade would be "
        f"{percent((halfway(correct) - 1) / change.shape[1])}"
    )
    found = of_means(parts, lambda means: 100 * means[0] / means[1], note)
    return found._replace(images=int((parts.iloc[:, 1] > 0).sum()))  # those that change at all


RECIPES = (
    Recipe(
        3, "accuracy per saccade",
        "Following attention, accuracy rises steeply and stays above that of random fixations, "
        "although attention, whose windows overlap more, reveals fewer tokens.",
        _FOVEAS, per_saccade,
        (
            *(
                Claim(
                    f"attention-above-random-{name.replace(' ', '-')}",
                    f"Accuracy under attention stays above random at every saccade ({name}).",
                    "points", partial(lead, experiment=name, first=ATTENTION, second=RANDOM), PAIR,
                )
                for name in _FOVEAS
            ),
            Claim(
                "steep-rise",
                "Accuracy under attention rises steeply: most of its gain comes early.",
                "points", steepness, (ATTENTION,),
            ),
            *(
                Claim(
                    f"fewer-tokens-{name.replace(' ', '-')}",
                    f"Attention reveals fewer tokens than random fixations ({name}).",
                    "tokens", partial(fewer_tokens, experiment=name), PAIR,
                )
                for name in _FOVEAS
            ),
        ),
    ),
    Recipe(
        4, "how classifications change",
        "Counting an image as soon as it was right once, saccades beat the full image. Most "
        "changes come early.",
        (MAIN,), changes,
        (
            Claim(
                "cumulative-above-full",
                "More images are right at least once along the saccades than in full (fovea 3).",
                "points", beyond_full, (ATTENTION,),
            ),
            Claim(
                "changes-early", "Most changes between right and wrong come early.",
                "%", early_changes, (ATTENTION,), margin=50,
            ),
        ),
    ),
)  # fmt: skip
