"""Means over images with 95 % percentile bootstrap intervals: images are drawn with replacement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from saccade_env.evaluation.metrics.tables import (
    augc,
    check_same_images,
    correctness,
    policies_of,
)

FEWEST = 20  # images, below which an interval is not trusted
_OUTSIDE = 0.025  # of the samples, on either side
_DRAWS_AT_ONCE = 2**21  # 16 MB for each array of them


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
        statistic: ``"mean_accuracy"`` over all saccades, ``"accuracy@n"`` at saccade n, or
            ``"augc"``, see :func:`saccade_env.evaluation.metrics.augc`.
        samples: Bootstrap samples.
        seed: Draws them.

    Raises:
        ValueError: No such policy or statistic, or the policies were not on the same images.

    >>> rows = [("a", 1, True), ("a", 2, True), ("b", 1, False), ("b", 2, True)]
    >>> records = pd.DataFrame(rows, columns=["image", "saccade", "correct"])
    >>> bootstrap(records.assign(policy="centre", label=0), "centre").value
    0.75
    """
    own = _statistic(records, policy, statistic)
    if reference is not None:
        other = _statistic(records, reference, statistic)
        check_same_images(policy, reference, own, other)
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
    low, high = percentiles((drawn @ found / total)[:, None])[:, 0].tolist()
    return Interval(float(counts @ found / total), low, high)


def bootstrap_columns(
    values: pd.DataFrame, samples: int = 2000, seed: int = 0, together: bool = False
) -> pd.DataFrame:
    """Mean of every column and its interval; all columns see the same resampled images.

    Args:
        values: A row per image, k columns of numbers. NaN values do not count, and a row of
            nothing else is no image of these.
        samples: Bootstrap samples.
        seed: Draws them.
        together: Widen the intervals so that all of them hold at once with 95 % (Bonferroni).

    Returns:
        A row per column of ``values``: ``mean``, ``low`` and ``high``, NaN where nothing counts.
    """
    values = values.dropna(how="all")
    table = values.to_numpy(dtype=float)
    means = np.full((samples, table.shape[1]), np.nan)
    if len(table):
        known = ~np.isnan(table)
        filled = np.where(known, table, 0.0)
        # Most columns lack the same images; each such pattern is counted once.
        patterns, pattern = np.unique(known, axis=1, return_inverse=True)
        for rows, times in resamples(len(table), samples, seed):
            count = (times @ patterns.astype(float))[:, pattern.ravel()]
            np.divide(times @ filled, count, out=means[rows], where=count > 0)
    low, high = percentiles(means, table.shape[1] if together else 1)
    return pd.DataFrame(
        {"mean": values.mean().to_numpy(), "low": low, "high": high}, index=values.columns
    )


def percentiles(
    values: Float[np.ndarray, "samples columns"],
    comparisons: int = 1,
) -> Float[np.ndarray, "2 columns"]:
    """Bounds of the interval of every column of bootstrap samples; NaN samples do not count.

    Of several comparisons each interval misses the less: 5 % / comparisons.
    """
    outside = _OUTSIDE / comparisons
    return pd.DataFrame(values).quantile([outside, 1 - outside]).to_numpy()


def interval_table(parts: Mapping[str, pd.DataFrame], samples: int, seed: int) -> pd.DataFrame:
    """Several tables of the same images and columns to one row per column, means with intervals.

    A single part gives columns (name, ``low``, ``high``), several (name, name``_low``,
    name``_high``) each.
    """
    found = bootstrap_columns(pd.concat(dict(parts), axis=1), samples, seed)
    tables = []
    for place, (name, part) in enumerate(parts.items()):
        own = found.iloc[place * part.shape[1] : (place + 1) * part.shape[1]]
        prefix = f"{name}_" if len(parts) > 1 else ""
        bounds = {"mean": name, "low": f"{prefix}low", "high": f"{prefix}high"}
        tables.append(own.rename(columns=bounds).set_axis(part.columns))
    return pd.concat(tables, axis=1)


def by_policy(
    records: pd.DataFrame,
    parts: Callable[[str], Mapping[str, pd.DataFrame]],
    samples: int,
    seed: int,
) -> pd.DataFrame:
    """:func:`interval_table` of the tables of every policy, one below the other."""
    found = {p: interval_table(parts(p), samples, seed) for p in policies_of(records)}
    return pd.concat(found, names=["policy"])


def resamples(
    images: int, samples: int, seed: int
) -> Iterator[tuple[slice, Float[np.ndarray, "some images"]]]:
    """Bootstrap samples, a few at a time: which ones, and how often each image is in each."""
    generator = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // images)
    for start in range(0, samples, step):
        rows = min(step, samples - start)
        drawn = generator.integers(images, size=(rows, images))
        drawn += np.arange(rows)[:, None] * images
        times = np.bincount(drawn.ravel(), minlength=rows * images)
        yield slice(start, start + rows), times.reshape(rows, images).astype(float)


def _statistic(records: pd.DataFrame, policy: str, statistic: str) -> pd.Series:
    correct = correctness(records, policy)
    if statistic == "mean_accuracy":
        return correct.mean(axis=1)
    if statistic == "augc":
        return augc(correct)
    match = re.fullmatch(r"accuracy@(\d+)", statistic)
    if not match or int(match[1]) not in correct.columns:
        raise ValueError(
            f"statistic must be 'mean_accuracy', 'augc', or 'accuracy@1' to "
            f"'accuracy@{correct.columns.max()}'; got {statistic!r}"
        )
    return correct[int(match[1])]
