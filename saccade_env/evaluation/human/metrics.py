"""How well a saliency map predicts fixations, and how alike two scanpaths are.

Everything is on the token grid. For maps a fixation counts at the token that holds it, and several
in one token count several times. Definitions follow Bylinskii et al. 2019, "What do different
evaluation metrics tell us about saliency models?", IEEE TPAMI 41(3), section 3.

Scanpaths are compared by where and in which order people looked, not for how long, and may be of
any length. They are aligned for many pairs at once and for every beginning of either scanpath: what
is aligned up to there knows nothing of what follows, so that shorter scanpaths may be padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage, stats

from saccade_env.geometry import Grid

EPSILON = float(np.finfo(float).eps)  # as in the code of the MIT saliency benchmark
Scanpath = Float[np.ndarray, "_ 2"]  # (row, col), a fixation a row


def nss(saliency: Float[np.ndarray, "rows cols"], tokens: Int[np.ndarray, "fixations 2"]) -> float:
    """Normalised scanpath saliency: mean over the fixations of the map's z-scores.

    Chance is 0, higher is better; 0 for a constant map. Peters et al. 2005, "Components of
    bottom-up gaze allocation in natural images", Vision Research 45(18).
    """
    return float(_z_scores(saliency)[tuple(tokens.T)].mean())


def auc(saliency: Float[np.ndarray, "rows cols"], tokens: Int[np.ndarray, "fixations 2"]) -> float:
    """Area under the ROC curve of telling fixated tokens from the others by the map, 0 to 1.

    Chance is 0.5, also of a constant map; NaN if every token was fixated. This is AUC-Judd (Judd
    et al. 2009, "Learning to predict where humans look", ICCV) with the exact area and ties
    counting half; the original jitters the map and interpolates between the fixated values, which
    adds at most 1/(2n) for n fixated tokens.
    """
    at = tuple(tokens.T)
    others = np.ones(saliency.shape, dtype=bool)
    others[at] = False
    if not others.any():
        return np.nan
    ranks = stats.rankdata(np.concatenate((saliency[at], saliency[others])))[: len(tokens)]
    return float((ranks.mean() - (len(tokens) + 1) / 2) / others.sum())


def kl_divergence(
    saliency: Float[np.ndarray, "rows cols"], density: Float[np.ndarray, "rows cols"]
) -> float:
    """Kullback-Leibler divergence of the map from the fixation density, in nats.

    Σ Q ln(ε + Q / (ε + P)), Q the density and P the map, shifted if it is negative somewhere and
    scaled to sum 1 (uniform if it is 0 throughout). 0 is best, up to ε; about 36 is worst.
    """
    shifted = saliency - min(0.0, saliency.min())
    shares = shifted / shifted.max() if shifted.any() else np.ones_like(shifted)
    shares = shares / shares.sum()
    return float((density * np.log(EPSILON + density / (EPSILON + shares))).sum())


def cc(saliency: Float[np.ndarray, "rows cols"], density: Float[np.ndarray, "rows cols"]) -> float:
    """Pearson's correlation of the map with the fixation density, -1 to 1; 0 if one is constant."""
    return float((_z_scores(saliency) * _z_scores(density)).mean())


def fixation_density(
    tokens: Int[np.ndarray, "fixations 2"], grid: Grid, sigma: float
) -> Float[np.ndarray, "rows cols"]:
    """Fixations per token, smoothed with a Gaussian of ``sigma`` tokens, of sum 1.

    Fixations are not mirrored at the border: what is smoothed across it is lost.
    """
    counts = np.zeros(grid)
    np.add.at(counts, tuple(tokens.T), 1)
    width = max(sigma, 1e-3)  # less is no wider, and divides by zero
    smooth = ndimage.gaussian_filter(counts, width, mode="constant", radius=max(grid))
    return np.asarray(smooth / smooth.sum())


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
    one, two = zip(*pairs, strict=True)
    first, second = (np.array([*zip_longest(*paths, fillvalue=(0, 0))]) for paths in (one, two))
    distance = np.linalg.norm(first[:, None] - second, axis=-1)
    ends = *(np.array([*map(len, paths)]) - 1 for paths in (one, two)), np.arange(len(pairs))
    return {
        "scanmatch": float(scanmatch(distance, cutoff)[ends].mean()),
        "dtw": float(1 - time_warping(distance)[ends].mean() / diagonal),
    }


def scanmatch(
    distance: Float[np.ndarray, "first second pairs"], cutoff: float
) -> Float[np.ndarray, "first second pairs"]:
    """Best alignment in order of two scanpaths, 0 to 1.

    The sum over aligned fixations of 1 - distance / cutoff, gaps costing nothing (Needleman and
    Wunsch), divided by the longer length: ScanMatch without binning in space and time (Cristino et
    al. 2010, "ScanMatch: a novel method for comparing fixation sequences", Behavior Research
    Methods 42(3)).

    Args:
        distance: Between all fixations of either scanpath, in tokens.
        cutoff: Distance in tokens from which two fixations are no match.

    Returns:
        At [i, j] for the first i + 1 fixations of one and j + 1 of the other.
    """
    longer = np.maximum.outer(*map(np.arange, distance.shape[:2])) + 1
    cost = _least_cost(distance / cutoff - 1, np.zeros_like(distance), 0.0)
    return np.asarray(-cost / longer[..., None])


def time_warping(
    distance: Float[np.ndarray, "first second pairs"],
) -> Float[np.ndarray, "first second pairs"]:
    """Mean distance of two scanpaths under the best dynamic time warping, in tokens.

    The symmetric, time-normalised form without slope constraint: a step in both weighs twice, and
    the sum is divided by the sum of the lengths (Sakoe and Chiba 1978, "Dynamic programming
    algorithm optimization for spoken word recognition", IEEE TASSP 26(1)).

    Args:
        distance: Between all fixations of either scanpath, in tokens.

    Returns:
        At [i, j] for the first i + 1 fixations of one and j + 1 of the other.
    """
    lengths = np.add.outer(*map(np.arange, distance.shape[:2])) + 2
    return np.asarray(_least_cost(2 * distance, distance, np.inf) / lengths[..., None])


def _least_cost(
    both: Float[np.ndarray, "first second pairs"],
    either: Float[np.ndarray, "first second pairs"],
    border: float,
) -> Float[np.ndarray, "first second pairs"]:
    """Least sum on the way to every (i, j), by steps in both scanpaths or in either alone."""
    first, second, pairs = both.shape
    total = np.full((first + 1, second + 1, pairs), border)
    total[0, 0] = 0
    for i, j in np.ndindex(first, second):
        alone = np.minimum(total[i, j + 1], total[i + 1, j]) + either[i, j]
        total[i + 1, j + 1] = np.minimum(total[i, j] + both[i, j], alone)
    return total[1:, 1:]


def _z_scores(saliency: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "rows cols"]:
    """Mean 0 and standard deviation 1; zeros for a constant map."""
    spread = np.ptp(saliency)
    if not spread:
        return np.zeros_like(saliency)
    unit = (saliency - saliency.min()) / spread
    return np.asarray((unit - unit.mean()) / unit.std())
