"""What a rule for stopping would give, from records without stopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from saccade_env.errors import unknown_name
from saccade_env.evaluation.metrics.tables import by_image, policies_of

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))  # certainty 0.1 to 0.95
CERTAINTY = "certainty"


class Rule(NamedTuple):
    """What an episode is stopped by.

    Attributes:
        column: Of the records; a policy without values in it has no such rule.
        value: Of that column, a row per image and a column per saccade: what is known after each
            saccade; NaN never stops.
        below: It stops where the value is below the threshold, else where it is not.
    """

    column: str
    value: Callable[[pd.DataFrame], pd.DataFrame] = lambda known: known
    below: bool = False


def _beyond_budget(entropy: pd.DataFrame) -> pd.DataFrame:
    """Share of the saccades made, less share of the images whose map has at most that entropy."""
    made = entropy.columns.to_numpy() / entropy.shape[1]
    return entropy.rank(pct=True).rsub(made, axis=1)


def _next(gain: pd.DataFrame) -> pd.DataFrame:
    return gain.shift(-1, axis=1)


# A map of low entropy has few places that are worth a look, so that its image gets fewer saccades:
# of a budget of T, T · (threshold + the share of images whose map has at most that entropy).
#: What a rule for stopping reads, by its name.
RULES = {
    CERTAINTY: Rule("certainty"),
    "map entropy": Rule("map_entropy", _beyond_budget),
    "predicted gain": Rule("predicted_gain", _next, below=True),  # of the next saccade
}


def stopping_curve(
    records: pd.DataFrame,
    thresholds: Sequence[float] | None = None,
    patience: int = 1,
    rule: str = CERTAINTY,
) -> pd.DataFrame:
    """What a rule for stopping would give, one row per policy and threshold.

    An episode stops after the first saccade at which the rule held ``patience`` saccades in a row,
    as ``policies.StopWhenCertain`` does for certainty ≥ the threshold, else after its last one.

    Args:
        records: Of an evaluation without stopping.
        thresholds: Certainties, 0 to 1, or values of another rule. By default certainties 0.1 to
            0.95, or as many quantiles of what each policy has of the rule's values.
        patience: At least 1.
        rule: One of :data:`~saccade_env.evaluation.metrics.RULES`: ``"certainty"``;
            ``"map entropy"``, by which an image has the more saccades the higher the entropy of
            its map; ``"predicted gain"``, which stops where
            the policy expects less of its next saccade than the threshold.

    Returns:
        Columns ``policy``, ``threshold``, and means over the images of how the episodes ended:
        ``accuracy`` (0 to 1, NaN without labels), ``saccades`` and ``visible_share`` (0 to 1).
        Policies without values for the rule are left out.

    Raises:
        ValueError: A threshold is no certainty, there is none, ``patience`` is not positive, or
            there is no such rule.
    """
    if rule not in RULES:
        raise unknown_name("rule", rule, RULES)
    if rule == CERTAINTY and thresholds is None:
        thresholds = THRESHOLDS
    check_rule(THRESHOLDS if rule != CERTAINTY or thresholds is None else thresholds, patience)
    points = [
        {"policy": policy, **point}
        for policy in policies_of(records)
        if _has(records, policy, RULES[rule].column)
        for point in _curve(records, policy, thresholds, patience, RULES[rule])
    ]
    columns = ["policy", "threshold", "accuracy", "saccades", "visible_share"]
    return pd.DataFrame(points, columns=columns)


def check_rule(thresholds: Sequence[float], patience: int) -> None:
    """Refuse what is no rule for stopping once certain, see :func:`stopping_curve`."""
    if not len(thresholds) or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"stopping thresholds must be certainties, 0 to 1; got {[*thresholds]}")
    if patience < 1:
        raise ValueError(f"patience must be ≥ 1; got {patience}")


def _has(records: pd.DataFrame, policy: str, column: str) -> bool:
    own = records["policy"] == policy
    return column in records and bool(records.loc[own, column].notna().any())


def _curve(
    records: pd.DataFrame,
    policy: str,
    thresholds: Sequence[float] | None,
    patience: int,
    rule: Rule,
) -> list[dict[str, float]]:
    correct, known, visible = (
        by_image(records, policy, column) for column in ("correct", rule.column, "visible_share")
    )
    values = rule.value(known).to_numpy()
    if thresholds is None:
        told = values[~np.isnan(values)]  # of a single saccade nothing is told of a next one
        shares = np.linspace(0, 1, len(THRESHOLDS))
        thresholds = np.quantile(told, shares).tolist() if len(told) else []
    points = []
    for threshold in thresholds:
        held = values < threshold if rule.below else values >= threshold
        last = _stops(held, patience)
        ends = (np.arange(len(last)), last)
        means = {
            "accuracy": pd.Series(correct.to_numpy()[ends]).mean(),  # leaves out the unknown
            "saccades": last.mean() + 1,
            "visible_share": visible.to_numpy()[ends].mean(),
        }
        points.append({"threshold": float(threshold), **means})
    return points


def _stops(held: Bool[np.ndarray, "images saccades"], patience: int) -> Int[np.ndarray, " images"]:
    """Where, counted from 0, each row was true ``patience`` times in a row first, or its end."""
    end = held.shape[1] - 1
    if patience > end:
        return np.full(len(held), end)
    windows = np.lib.stride_tricks.sliding_window_view(held, patience, axis=1)
    always: np.ndarray = np.all(windows, axis=-1)
    return np.asarray(np.where(always.any(1), always.argmax(1) + patience - 1, end))
