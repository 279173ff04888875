"""A saliency map against fixations: NSS, AUC, KL divergence and correlation.

Everything is on the token grid. A fixation counts at the token that holds it, and several in one
token count several times. Definitions follow Bylinskii et al. 2019, "What do different evaluation
metrics tell us about saliency models?", IEEE TPAMI 41(3), section 3.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from saccade_env.geometry import Grid

EPSILON = float(np.finfo(float).eps)  # as in the code of the MIT saliency benchmark


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
    fixated = saliency[tuple(tokens.T)]
    others = np.ones(saliency.shape, dtype=bool)
    others[tuple(tokens.T)] = False
    rest = np.sort(saliency[others])
    if not len(rest):
        return np.nan
    ranks = np.searchsorted(rest, fixated, "left") + np.searchsorted(rest, fixated, "right")
    return float(ranks.mean() / (2 * len(rest)))


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
    along_rows, along_cols = (
        np.exp(-0.5 * np.square(np.subtract.outer(np.arange(size), np.arange(size)) / sigma))
        for size in grid
    )
    smooth = along_rows @ counts @ along_cols
    return smooth / smooth.sum()


def _z_scores(saliency: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "rows cols"]:
    """Mean 0 and standard deviation 1; zeros for a constant map."""
    spread = np.ptp(saliency)
    if not spread:
        return np.zeros_like(saliency)
    unit = (saliency - saliency.min()) / spread
    return (unit - unit.mean()) / unit.std()
