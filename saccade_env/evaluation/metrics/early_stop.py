"""What stopping once certain would give, from records without stopping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from saccade_env.evaluation.metrics.tables import by_image, policies_of

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))  # certainty 0.1 to 0.95


def stopping_curve(
    records: pd.DataFrame, thresholds: Sequence[float] = THRESHOLDS, patience: int = 1
) -> pd.DataFrame:
    """What stopping once certain would give, one row per policy and threshold.

    An episode stops after the first saccade at which certainty was ≥ the threshold ``patience``
    saccades in a row, as under ``policies.StopWhenCertain``, else after its last one.

    Args:
        records: Of an evaluation without stopping.
        thresholds: Certainties, 0 to 1.
        patience: At least 1.

    Returns:
        Columns ``policy``, ``threshold``, and means over the images of how the episodes ended:
        ``accuracy`` (0 to 1, NaN without labels), ``saccades`` and ``visible_share`` (0 to 1).

    Raises:
        ValueError: A threshold is no certainty, there is none, or ``patience`` is not positive.
    """
    check_rule(thresholds, patience)
    points = []
    for policy in policies_of(records):
        correct, certainty, visible = (
            by_image(records, policy, column)
            for column in ("correct", "certainty", "visible_share")
        )
        for threshold in thresholds:
            last = _stops(certainty.to_numpy() >= threshold, patience)
            ends = (np.arange(len(last)), last)
            means = {
                "accuracy": pd.Series(correct.to_numpy()[ends]).mean(),  # leaves out the unknown
                "saccades": last.mean() + 1,
                "visible_share": visible.to_numpy()[ends].mean(),
            }
            points.append({"policy": policy, "threshold": float(threshold), **means})
    return pd.DataFrame(points)


def check_rule(thresholds: Sequence[float], patience: int) -> None:
    """Refuse what is no rule for stopping, see :func:`stopping_curve`."""
    if not len(thresholds) or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise ValueError(f"stopping thresholds must be certainties, 0 to 1; got {[*thresholds]}")
    if patience < 1:
        raise ValueError(f"patience must be ≥ 1; got {patience}")


def _stops(
    certain: Bool[np.ndarray, "images saccades"], patience: int
) -> Int[np.ndarray, " images"]:
    """Where, counted from 0, each row was true ``patience`` times in a row first, or its end."""
    end = certain.shape[1] - 1
    if patience > end:
        return np.full(len(certain), end)
    windows = np.lib.stride_tricks.sliding_window_view(certain, patience, axis=1)
    held: np.ndarray = np.all(windows, axis=-1)
    return np.asarray(np.where(held.any(1), held.argmax(1) + patience - 1, end))
