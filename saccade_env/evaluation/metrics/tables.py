"""Records as tables of one row per image, which is what all metrics are computed from."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from saccade_env.errors import unknown_name


def policies_of(records: pd.DataFrame) -> list[str]:
    """Names of the policies in order of appearance."""
    return list(dict.fromkeys(records["policy"]))


def by_image(records: pd.DataFrame, policy: str, column: str) -> pd.DataFrame:
    """One column of a policy's records as floats, a row per image and a column per saccade.

    ``correct`` is NaN where there is no label.

    Raises:
        ValueError: No such policy.
    """
    own = records[records["policy"] == policy]
    if own.empty:
        raise unknown_name("policy", policy, records["policy"].unique())
    values = own[column].astype(float)
    if column == "correct":
        values = values.where(own["label"] >= 0)
    return own.assign(value=values).pivot(index="image", columns="saccade", values="value")


def correctness(records: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Right (1.0) or wrong (0.0), a row per image and a column per saccade; NaN without label.

    Raises:
        ValueError: No such policy.
    """
    return by_image(records, policy, "correct")


def augc(correct: pd.DataFrame) -> pd.Series:
    """Area under the glimpse curve, 0 to 1: of accuracy against saccades 1 to T.

    By the trapezoidal rule, divided by its length T − 1, so that 1 is right from the first saccade
    on; with a single saccade, whether that one is right.

    Args:
        correct: See :func:`correctness`.

    Returns:
        A value an image, whose mean is that of the curve; NaN without label.
    """
    weights = np.ones(correct.shape[1])
    weights[[0, -1]] = 0.5
    areas: pd.Series = (correct * weights).sum(axis=1, skipna=False) / weights.sum()
    return areas


def right_in_full(records: pd.DataFrame, policy: str) -> pd.Series:
    """Whether the classifier is right on the whole image, by image; False without label."""
    own = records[records["policy"] == policy].drop_duplicates("image").set_index("image")
    right = (own["full_prediction"] == own["label"]) & (own["label"] >= 0)
    return right.sort_index()


def rows_of(table: pd.DataFrame, key: Any) -> pd.DataFrame:
    """Rows of a key of the first level, without that level.

    Raises:
        KeyError: No such key.
    """
    return cast(pd.DataFrame, table.loc[key])


def cell(table: pd.DataFrame, row: Any, column: str) -> float:
    """A single number; rows have a plain index.

    Raises:
        KeyError: No such row or column.
    """
    value: Any = table.loc[row, column]
    return float(value)


def lengths(rows: pd.DataFrame, cols: pd.DataFrame) -> pd.DataFrame:
    """Euclidean lengths of steps of so many rows and cols."""
    return cast(pd.DataFrame, np.hypot(rows, cols))


def check_same_images(
    first: str, second: str, own: pd.DataFrame | pd.Series, other: pd.DataFrame | pd.Series
) -> None:
    """Refuse to compare two policies, image by image, that were not on the same images."""
    if not own.index.equals(other.index):
        raise ValueError(f"{first!r} and {second!r} were evaluated on different images")
