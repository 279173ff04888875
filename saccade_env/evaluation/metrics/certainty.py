"""Certainty along a scanpath, held against certainty on the whole image (figure 5)."""

from __future__ import annotations

import pandas as pd

from saccade_env.evaluation.metrics.changes import first_correct
from saccade_env.evaluation.metrics.intervals import interval_table
from saccade_env.evaluation.metrics.tables import by_image, policies_of, right_in_full

_MEANS = ("certainty", "full_certainty")
_COLUMNS = (*(f"{name}{bound}" for name in _MEANS for bound in ("", "_low", "_high")), "images")


def certainty_where_full_right(
    records: pd.DataFrame, samples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Mean certainty over the images that the classifier gets right in full (figure 5).

    Args:
        records: Of an evaluation.
        samples: Bootstrap samples.
        seed: Draws them.

    Returns:
        Index (policy, saccade). Columns ``certainty`` at this saccade and ``full_certainty`` on
        the whole image, 0 to 1, each with ``…_low`` and ``…_high``, and ``images``, how many
        these are. NaN when there are none. Unlabelled images do not count.
    """
    tables = {}
    for policy in policies_of(records):
        right = right_in_full(records, policy)
        parts = _parts(records, policy)
        tables[policy] = _table(parts, right.index[right], samples, seed)
    return pd.concat(tables, names=["policy"])


def certainty_by_first_correct(
    records: pd.DataFrame, full_image_right: bool = True, samples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Mean certainty of the images that are right first at the same saccade (figure 5).

    Args:
        records: Of an evaluation.
        full_image_right: Only images that the classifier gets right in full, else all labelled.
        samples: Bootstrap samples, drawn within each group.
        seed: Draws them.

    Returns:
        Index (policy, first_correct, saccade), the groups that hold an image; first_correct is
        NaN for the images that are never right. Columns as of
        :func:`certainty_where_full_right`, ``images`` being the size of the group. Empty when no
        image has a label.
    """
    tables = []
    for policy in policies_of(records):
        parts, first = _parts(records, policy), first_correct(records, policy)
        if full_image_right:
            first = first[right_in_full(records, policy)[first.index]]
        for saccade, group in first.groupby(first, dropna=False):
            table = _table(parts, group.index, samples, seed).reset_index()
            tables.append(table.assign(policy=policy, first_correct=saccade))
    levels = ["policy", "first_correct", "saccade"]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=[*levels, *_COLUMNS], dtype=float)
    return table.set_index(levels)


def _parts(records: pd.DataFrame, policy: str) -> dict[str, pd.DataFrame]:
    return {name: by_image(records, policy, name) for name in _MEANS}


def _table(
    parts: dict[str, pd.DataFrame], images: pd.Index, samples: int, seed: int
) -> pd.DataFrame:
    own = {name: part.loc[images] for name, part in parts.items()}
    return interval_table(own, samples, seed).assign(images=len(images))
