"""When a classification turns right and wrong along a scanpath (figure 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from saccade_env.evaluation.metrics.intervals import interval_table
from saccade_env.evaluation.metrics.tables import correctness, policies_of


def transitions(records: pd.DataFrame, samples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """What every saccade from the second on did to the classification (figure 4).

    Args:
        records: Of an evaluation.
        samples: Bootstrap samples.
        seed: Draws them.

    Returns:
        Index (policy, saccade ≥ 2). Columns ``stayed_right``, ``right_to_wrong``,
        ``wrong_to_right`` and ``stayed_wrong``: shares of the labelled images, 0 to 1, which sum
        to 1; and ``right_again``, the part of ``wrong_to_right`` that was right before, so that
        the others are right for the first time. Each has ``…_low`` and ``…_high``. NaN when no
        image has a label.
    """
    tables = {}
    for policy in policies_of(records):
        correct = correctness(records, policy)
        after = correct.iloc[:, 1:]
        before = correct.shift(axis=1).iloc[:, 1:]
        so_far = correct.cummax(axis=1).shift(axis=1).iloc[:, 1:]
        sets = {
            "stayed_right": before * after,
            "right_to_wrong": before * (1 - after),
            "wrong_to_right": (1 - before) * after,
            "stayed_wrong": (1 - before) * (1 - after),
            "right_again": (1 - before) * after * so_far,
        }
        tables[policy] = interval_table(sets, samples, seed)
    return pd.concat(tables, names=["policy"])


def correct_counts(records: pd.DataFrame, samples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """At how many of its T saccades an image is right (figure 4, histograms).

    Args:
        records: Of an evaluation.
        samples: Bootstrap samples.
        seed: Draws them.

    Returns:
        Index (policy, count from 0 to T). Columns ``share`` of the labelled images, 0 to 1, which
        sums to 1 over a policy's counts, ``low`` and ``high``. NaN when no image has a label.
    """
    tables = {}
    for policy in policies_of(records):
        correct = correctness(records, policy)
        times = correct.sum(axis=1, skipna=False)
        counts = pd.RangeIndex(correct.shape[1] + 1, name="count")
        exactly = (times.to_numpy()[:, None] == counts.to_numpy()).astype(float)
        share = pd.DataFrame(exactly, index=times.index, columns=counts)
        tables[policy] = interval_table({"share": share[times.notna()]}, samples, seed)
    return pd.concat(tables, names=["policy"])


def first_correct(records: pd.DataFrame, policy: str) -> pd.Series:
    """Saccade of the first correct classification (figures 4, 5 and 7).

    Returns:
        By image, counted from 1; NaN for an image that is never right. Unlabelled images are
        left out.

    Raises:
        ValueError: No such policy.
    """
    correct = correctness(records, policy).dropna(how="all")
    right = correct.to_numpy() == 1
    saccade = correct.columns.to_numpy(dtype=float)[right.argmax(axis=1)]
    first = np.where(right.any(axis=1), saccade, np.nan)
    return pd.Series(first, index=correct.index, name="first_correct")
