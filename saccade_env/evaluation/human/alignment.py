"""How alike two scanpaths are: an alignment score and dynamic time warping.

Both know where and in which order people looked, but not for how long, and take scanpaths of any
length. They are computed for many pairs at once, and for every beginning of either scanpath: what
is aligned up to there knows nothing of what follows, so that shorter scanpaths may be padded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Scanpath = Float[np.ndarray, "fixations 2"]


def similarities(
    pairs: Sequence[tuple[Scanpath, Scanpath]], cutoff: float, diagonal: float
) -> dict[str, float]:
    """Means over pairs of scanpaths, (row, col) in tokens, of two similarities, 0 to 1.

    Both are symmetric, and 1 for a scanpath with itself.

    Args:
        pairs: At least one.
        cutoff: See :func:`scanmatch`.
        diagonal: Of the grid, in tokens: the greatest distance.

    Returns:
        ``scanmatch``, and ``dtw``: 1 - :func:`time_warping` / diagonal.
    """
    one, two = (_padded(paths) for paths in zip(*pairs, strict=True))
    distance = np.linalg.norm(one[:, :, None] - two[:, None], axis=-1)
    ends = [(pair, len(one) - 1, len(two) - 1) for pair, (one, two) in enumerate(pairs)]
    at = tuple(np.array(ends).T)
    return {
        "scanmatch": float(scanmatch(distance, cutoff)[at].mean()),
        "dtw": float(1 - time_warping(distance)[at].mean() / diagonal),
    }


def scanmatch(
    distance: Float[np.ndarray, "pairs first second"], cutoff: float
) -> Float[np.ndarray, "pairs first second"]:
    """Best alignment in order of two scanpaths, 0 to 1.

    The sum over aligned fixations of 1 - distance / cutoff, gaps costing nothing (Needleman and
    Wunsch), divided by the longer length: ScanMatch without binning in space and time (Cristino et
    al. 2010, "ScanMatch: a novel method for comparing fixation sequences", Behavior Research
    Methods 42(3)).

    Args:
        distance: Between all fixations of either scanpath, in tokens.
        cutoff: Distance in tokens from which two fixations are no match.

    Returns:
        At [:, i, j] for the first i + 1 fixations of one and j + 1 of the other.
    """
    score = 1 - distance / cutoff
    pairs, first, second = distance.shape
    total = np.zeros((first + 1, second + 1, pairs))
    for i, j in np.ndindex(first, second):
        aligned = total[i, j] + score[:, i, j]
        total[i + 1, j + 1] = np.maximum(aligned, np.maximum(total[i, j + 1], total[i + 1, j]))
    longer = np.maximum.outer(np.arange(first), np.arange(second)) + 1
    return np.moveaxis(total[1:, 1:], -1, 0) / longer


def time_warping(
    distance: Float[np.ndarray, "pairs first second"],
) -> Float[np.ndarray, "pairs first second"]:
    """Mean distance of two scanpaths under the best dynamic time warping, in tokens.

    The symmetric, time-normalised form without slope constraint: a step in both weighs twice, and
    the sum is divided by the sum of the lengths (Sakoe and Chiba 1978, "Dynamic programming
    algorithm optimization for spoken word recognition", IEEE TASSP 26(1)).

    Args:
        distance: Between all fixations of either scanpath, in tokens.

    Returns:
        At [:, i, j] for the first i + 1 fixations of one and j + 1 of the other.
    """
    pairs, first, second = distance.shape
    total = np.full((first + 1, second + 1, pairs), np.inf)
    total[0, 0] = 0
    for i, j in np.ndindex(first, second):
        step = distance[:, i, j]
        either = np.minimum(total[i, j + 1], total[i + 1, j]) + step
        total[i + 1, j + 1] = np.minimum(total[i, j] + 2 * step, either)
    lengths = np.add.outer(np.arange(first), np.arange(second)) + 2
    return np.moveaxis(total[1:, 1:], -1, 0) / lengths


def _padded(paths: Sequence[Scanpath]) -> Float[np.ndarray, "paths longest 2"]:
    padded = np.zeros((len(paths), max(map(len, paths)), 2))
    for row, path in zip(padded, paths, strict=True):
        row[: len(path)] = path
    return padded
