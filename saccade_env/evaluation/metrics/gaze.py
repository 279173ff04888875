"""Where policies look: what they reveal, how far they go and how alike they are (figure 11).

Nothing here needs labels: every image counts. A fixation at (-1, -1), of an episode that has
stopped, is none.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from saccade_env import geometry
from saccade_env.evaluation.metrics.intervals import by_policy, interval_table
from saccade_env.evaluation.metrics.tables import by_image, check_same_images, lengths


def unique_area(
    records: pd.DataFrame, grid: geometry.Grid, fovea: int, samples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """What a fovea of this size reveals along the scanpaths (figures 3 and 11).

    Args:
        records: Of an evaluation on the same token grid.
        grid: (rows, cols) in tokens.
        fovea: Side in tokens, odd; need not be the evaluation's.
        samples: Bootstrap samples of images.
        seed: Draws them.

    Returns:
        Index (policy, saccade). Columns ``visible_share``, the share of the grid in the union of
        the clipped windows so far, and ``new_share``, the share of this saccade's clipped window
        not revealed before: means over the images, 0 to 1, each with ``…_low`` and ``…_high``.

    Raises:
        ValueError: A fixation lies outside the grid, or ``fovea`` is not odd.
    """

    def shares(policy: str) -> dict[str, pd.DataFrame]:
        row, col = _fixations(records, policy)
        windows = _windows(row, col, grid, fovea)
        visible = np.logical_or.accumulate(windows, axis=1).sum(axis=2)
        new, size = np.diff(visible, prepend=0, axis=1), windows.sum(axis=2)
        return {
            "visible_share": _like(row, visible / (grid[0] * grid[1])),
            "new_share": _like(row, new / np.where(size > 0, size, np.nan)),
        }

    return by_policy(records, shares, samples, seed)


def fixation_agreement(
    records: pd.DataFrame,
    first: str,
    second: str,
    within: int = 0,
    grid: geometry.Grid | None = None,
    fovea: int | None = None,
    samples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """How alike two policies look at the same images, saccade by saccade (figure 11).

    Args:
        records: Of an evaluation.
        first: A policy.
        second: The other one; the order makes no difference.
        within: Chebyshev distance in tokens up to which two fixations agree; 0 is the same cell.
        grid: (rows, cols) in tokens; with ``fovea``, compare what is revealed too.
        fovea: Side in tokens, odd.
        samples: Bootstrap samples of images.
        seed: Draws them.

    Returns:
        Index saccade. Means over the images, each with ``…_low`` and ``…_high``: ``agreement``,
        the share on which the two agree, ``distance`` between their fixations (Euclidean, in
        tokens) and, given ``grid`` and ``fovea``, ``iou``: what both have revealed so far as a
        share of what either has, 0 to 1.

    Raises:
        ValueError: No such policy, the two were not on the same images and saccades, ``within``
            is negative, only one of ``grid`` and ``fovea`` is given, a fixation lies outside the
            grid, or ``fovea`` is not odd.
    """
    if within < 0:
        raise ValueError(f"within must be ≥ 0 tokens; got {within}")
    if (grid is None) != (fovea is None):
        raise ValueError(f"give both grid and fovea or neither; got {grid} and {fovea}")
    own, other = _fixations(records, first), _fixations(records, second)
    check_same_images(first, second, own[0], other[0])
    if not own[0].columns.equals(other[0].columns):
        raise ValueError(f"{first!r} and {second!r} were evaluated on different saccades")
    rows, cols = (here - there for here, there in zip(own, other, strict=True))
    apart = cast(pd.DataFrame, np.maximum(rows.abs(), cols.abs()))
    parts = {
        "agreement": (apart <= within).astype(float).where(apart.notna()),
        "distance": lengths(rows, cols),
    }
    if grid is not None and fovea is not None:
        here, there = (
            np.logical_or.accumulate(_windows(*path, grid, fovea), axis=1) for path in (own, other)
        )
        both, either = (here & there).sum(axis=2), (here | there).sum(axis=2)
        parts["iou"] = _like(rows, both / np.where(either > 0, either, np.nan))
    return interval_table(parts, samples, seed)


def distance_from_first(records: pd.DataFrame, samples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """How far from its first fixation a policy looks (figure 11).

    Args:
        records: Of an evaluation.
        samples: Bootstrap samples of images.
        seed: Draws them.

    Returns:
        Index (policy, saccade). Columns ``distance`` (Euclidean, in tokens; mean over the images,
        0 at the first saccade), ``low`` and ``high``.
    """

    def distance(policy: str) -> dict[str, pd.DataFrame]:
        rows, cols = (axis.sub(axis.iloc[:, 0], axis=0) for axis in _fixations(records, policy))
        return {"distance": lengths(rows, cols)}

    return by_policy(records, distance, samples, seed)


def _fixations(records: pd.DataFrame, policy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and cols, a row per image and a column per saccade; NaN where there is none."""
    row, col = (by_image(records, policy, axis) for axis in ("row", "col"))
    return row.where(row >= 0), col.where(col >= 0)


def _windows(
    row: pd.DataFrame, col: pd.DataFrame, grid: geometry.Grid, fovea: int
) -> Bool[np.ndarray, "images saccades tokens"]:
    """The clipped window of every fixation; empty where there is none."""
    if fovea < 1 or fovea % 2 == 0:
        raise ValueError(f"fovea must be odd and ≥ 1; got {fovea}")
    path = np.stack((row, col), axis=-1)
    made = ~np.isnan(path).any(axis=-1)
    far = np.where(made[..., None], path, -1).reshape(-1, 2).max(axis=0).astype(int)
    if (far >= grid).any():
        raise ValueError(
            f"fixations reach {(*far.tolist(),)} (row, col); got a grid of {grid[0]}×{grid[1]}"
        )
    cells = torch.from_numpy(path[made]).long()
    table = geometry.fovea_windows(grid, fovea, torch.device("cpu")).flatten(1)
    windows = np.zeros((*made.shape, table.shape[1]), dtype=bool)
    windows[made] = table[geometry.row_col_to_index(cells, grid)].numpy()
    return windows


def _like(table: pd.DataFrame, values: Float[np.ndarray, "images saccades"]) -> pd.DataFrame:
    return pd.DataFrame(values, table.index, table.columns)
