"""Effects along the saccades, of accuracy, certainty and map entropy (figures 3, 4, 5 and 7)."""

from __future__ import annotations

from typing import cast

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import by_image, right_in_full
from saccade_env.paper.findings.claims import SAMPLES, Measured, of_images, of_means, weakest
from saccade_env.paper.reading import (
    MAIN,
    NotRunError,
    grid_of,
    of_policies,
    percent,
    policy_of,
    records_of,
)
from saccade_env.paper.results import ATTENTION, RANDOM, Results


def pair(
    results: Results, experiment: str, first: str, second: str, column: str = "correct"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A column of two roles' records, an image a row and a saccade a column, on the same images."""
    records = records_of(results, experiment)
    policies = [policy_of(results, role, records) for role in (first, second)]
    both = of_policies(records, *policies)
    if both.empty:
        raise NotRunError(f"{' and '.join(policies)} were run on different images")
    one, other = (by_image(both, policy, column) for policy in policies)
    return one, other


def lead(results: Results, experiment: str, first: str, second: str) -> Measured:
    """A role's lead in accuracy over another's, where it is least."""
    own, other = pair(results, experiment, first, second)
    return weakest(own - other)


def lead_at(results: Results, experiment: str, first: str, second: str, saccade: int) -> Measured:
    """A role's lead in accuracy over another's at one saccade."""
    own, other = pair(results, experiment, first, second)
    if saccade not in own:
        raise NotRunError(f"“{experiment}” has {own.shape[1]} saccades, and this needs {saccade}")
    return of_images(own[saccade] - other[saccade])


def steepness(results: Results) -> Measured:
    """Gain in accuracy in the first half of the saccades, less that in the second."""
    correct = _own(results, "correct")
    first, half, last = correct.iloc[:, 0], correct[_half(correct)], correct.iloc[:, -1]
    levels = [percent(float(part.mean())) for part in (first, half, last)]
    note = (
        f"gain up to saccade {_half(correct)} less the gain after it; accuracy goes from "
        f"{levels[0]} to {levels[1]}, then to {levels[2]}"
    )
    return of_images((half - first) - (last - half), note)


def fewer_tokens(results: Results, experiment: str) -> Measured:
    """Tokens that random fixations reveal more than attention, after the last saccade."""
    own, other = pair(results, experiment, RANDOM, ATTENTION, "visible_share")
    rows, cols = grid_of(results, experiment)
    more = own.iloc[:, -1] - other.iloc[:, -1]
    return of_images(more, f"of {rows * cols} tokens, after the last saccade", rows * cols)


def beyond_full(results: Results) -> Measured:
    """Images right at least once less images right in full."""
    records = records_of(results, MAIN)
    correct = _own(results, "correct")
    full = right_in_full(records, policy_of(results, ATTENTION, records)).astype(float)
    return of_images(correct.max(axis=1) - full, "cumulative less full-image accuracy")


def early_changes(results: Results) -> Measured:
    """Share of the changes that fall in the first half of the saccades."""
    correct = _own(results, "correct").dropna()
    change = correct.diff(axis=1).abs().iloc[:, 1:]
    early = change.loc[:, : _half(correct)].sum(axis=1)
    parts = pd.concat((early, change.sum(axis=1)), axis=1)
    note = (
        f"changes up to saccade {_half(correct)}, of all; as many at each saccade would be "
        f"{percent((_half(correct) - 1) / change.shape[1])}"
    )
    found = of_means(parts, lambda means: 100 * means[0] / means[1], note)
    return found._replace(images=int((parts.iloc[:, 1] > 0).sum()))  # those that change at all


def near_full(results: Results) -> Measured:
    """Certainty at the last saccade less that on the full image, where that is right."""
    certainty = _full_right(results)
    full = _own(results, "full_certainty").iloc[:, 0]
    return of_images((certainty.iloc[:, -1] - full).dropna(), "at the last saccade")


def more_certain(results: Results) -> Measured:
    """Attention's lead over random in certainty, where it is least."""
    own, other = pair(results, MAIN, ATTENTION, RANDOM, "certainty")
    right = right_in_full(records_of(results, MAIN), results.roles[ATTENTION])
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
    last, half = final.iloc[:, -1], _half(final)
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


def relation(results: Results, role: str) -> Measured:
    """Spearman's correlation of map entropy and saccade of first correct classification."""
    records, entropies = records_of(results, MAIN), results.entropies
    if entropies is None or entropies.empty:
        raise NotRunError("the entropies of the maps were not computed")
    policy = policy_of(results, role, records)
    policy_of(results, role, entropies)
    own = entropies[entropies["policy"] == policy]
    row = cast(pd.Series, metrics.entropy_relation(own, records, SAMPLES).loc[policy])
    note = f"{row['never_correct']:.0f} images that are never right are left out"
    return Measured(Interval(row["rho"], row["low"], row["high"]), int(row["images"]), note)


def _own(results: Results, column: str) -> pd.DataFrame:
    records = records_of(results, MAIN)
    table = by_image(records, policy_of(results, ATTENTION, records), column)
    if table.shape[1] < 2:
        raise NotRunError("there is a single saccade")
    return table


def _full_right(results: Results) -> pd.DataFrame:
    """Certainty of the images that the classifier gets right in full."""
    certainty = _own(results, "certainty")
    right = right_in_full(records_of(results, MAIN), results.roles[ATTENTION])
    return certainty.loc[right[certainty.index]]


def _first(results: Results) -> pd.Series:
    return metrics.first_correct(records_of(results, MAIN), results.roles[ATTENTION])


def _half(table: pd.DataFrame) -> int:
    return max(1, table.shape[1] // 2)
