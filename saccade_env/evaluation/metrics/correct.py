"""How often a classification is right along a scanpath, and how it changes (figures 3 and 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from saccade_env.evaluation.metrics.intervals import by_policy
from saccade_env.evaluation.metrics.tables import correctness, policies_of


def per_saccade(records: pd.DataFrame) -> pd.DataFrame:
    """Means over the images, one row per policy and saccade, policies in order of appearance.

    Columns: ``accuracy`` (share of images right at this saccade), ``cumulative_accuracy`` (right
    at least once so far), ``certainty`` and ``visible_share``, all 0 to 1. Accuracies are NaN
    when no image has a label; unlabelled images do not count otherwise.
    """
    records = records.sort_values("saccade", kind="stable")
    correct = records["correct"].astype("float").where(records["label"] >= 0)
    so_far = correct.groupby([records["policy"], records["image"]], sort=False).cummax()
    columns = records[["policy", "saccade", "certainty", "visible_share"]].assign(
        accuracy=correct, cumulative_accuracy=so_far
    )
    means = columns.groupby(["policy", "saccade"], sort=False).mean()
    means = means.sort_index(level="saccade", sort_remaining=False).loc[policies_of(records)]
    return means[["accuracy", "cumulative_accuracy", "certainty", "visible_share"]]


def full_image(records: pd.DataFrame) -> dict[str, float]:
    """Top-1 accuracy and mean certainty of the classifier on the whole images, 0 to 1."""
    images = records.drop_duplicates("image")
    labelled = images[images["label"] >= 0]
    return {
        "accuracy": float((labelled["full_prediction"] == labelled["label"]).mean()),
        "certainty": float(images["full_certainty"].mean()),
        "images": len(images),
        "labelled_images": len(labelled),
    }


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

    def shares(policy: str) -> dict[str, pd.DataFrame]:
        correct = correctness(records, policy)
        after = correct.iloc[:, 1:]
        before = correct.shift(axis=1).iloc[:, 1:]
        so_far = correct.cummax(axis=1).shift(axis=1).iloc[:, 1:]
        return {
            "stayed_right": before * after,
            "right_to_wrong": before * (1 - after),
            "wrong_to_right": (1 - before) * after,
            "stayed_wrong": (1 - before) * (1 - after),
            "right_again": (1 - before) * after * so_far,
        }

    return by_policy(records, shares, samples, seed)


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

    def share(policy: str) -> dict[str, pd.DataFrame]:
        correct = correctness(records, policy)
        times = correct.sum(axis=1, skipna=False)
        counts = pd.RangeIndex(correct.shape[1] + 1, name="count")
        exactly = (times.to_numpy()[:, None] == counts.to_numpy()).astype(float)
        return {"share": pd.DataFrame(exactly, times.index, counts)[times.notna()]}

    return by_policy(records, share, samples, seed)


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
