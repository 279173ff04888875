"""Pure functions of records: one row per image, policy and saccade (counted from 1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from saccade_env.registry import unknown_name

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))  # certainty 0.1 to 0.95


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
    order = list(dict.fromkeys(records["policy"]))
    means = means.sort_index(level="saccade", sort_remaining=False).loc[order]
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
    for policy in dict.fromkeys(records["policy"]):
        correct, certainty, visible = (
            _by_image(records, policy, column)
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


class Interval(NamedTuple):
    """A mean over images and its 95 % bootstrap interval; NaN when no image has a label."""

    value: float
    low: float
    high: float


def bootstrap(
    records: pd.DataFrame,
    policy: str,
    reference: str | None = None,
    statistic: str = "mean_accuracy",
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Accuracy of a policy, or its lead over another one on the same images, with its interval.

    Args:
        records: Of an evaluation.
        policy: Whose accuracy.
        reference: Subtract this one's, image by image: the interval is a paired one.
        statistic: ``"mean_accuracy"`` over all saccades, or ``"accuracy@n"`` at saccade n.
        samples: Bootstrap samples.
        seed: Draws them.

    Raises:
        ValueError: No such policy or statistic, or the policies were not on the same images.
    """
    own = _statistic(records, policy, statistic)
    if reference is not None:
        other = _statistic(records, reference, statistic)
        if not own.index.equals(other.index):
            raise ValueError(f"{policy!r} and {reference!r} were evaluated on different images")
        own = own - other
    return interval(own, samples, seed)


def interval(values: pd.Series, samples: int = 2000, seed: int = 0) -> Interval:
    """Mean of one value an image and its 95 % percentile interval; NaN values do not count."""
    found, counts = np.unique(values.dropna().to_numpy(), return_counts=True)
    total = counts.sum()
    if not total:
        return Interval(np.nan, np.nan, np.nan)
    # Drawing how often each value comes is drawing images with replacement, and far cheaper.
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=samples)
    low, high = np.percentile(drawn @ found / total, (2.5, 97.5))
    return Interval(float(counts @ found / total), float(low), float(high))


def correctness(records: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Right (1.0) or wrong (0.0), a row per image and a column per saccade; NaN without label.

    Raises:
        ValueError: No such policy.
    """
    return _by_image(records, policy, "correct")


def _statistic(records: pd.DataFrame, policy: str, statistic: str) -> pd.Series:
    correct = correctness(records, policy)
    if statistic == "mean_accuracy":
        return correct.mean(axis=1)
    match = re.fullmatch(r"accuracy@(\d+)", statistic)
    if not match or int(match[1]) not in correct.columns:
        raise ValueError(
            f"statistic must be 'mean_accuracy' or 'accuracy@1' to "
            f"'accuracy@{correct.columns.max()}'; got {statistic!r}"
        )
    return correct[int(match[1])]


def _by_image(records: pd.DataFrame, policy: str, column: str) -> pd.DataFrame:
    own = records[records["policy"] == policy]
    if own.empty:
        raise unknown_name("policy", policy, records["policy"].unique())
    values = own[column].astype(float)
    if column == "correct":
        values = values.where(own["label"] >= 0)
    return own.assign(value=values).pivot(index="image", columns="saccade", values="value")


def _stops(
    certain: Bool[np.ndarray, "images saccades"], patience: int
) -> Int[np.ndarray, " images"]:
    """Where, counted from 0, each row was true ``patience`` times in a row first, or its end."""
    end = certain.shape[1] - 1
    if patience > end:
        return np.full(len(certain), end)
    windows = np.lib.stride_tricks.sliding_window_view(certain, patience, axis=1)
    held: np.ndarray = np.all(windows, axis=-1)
    return np.where(held.any(1), held.argmax(1) + patience - 1, end)
