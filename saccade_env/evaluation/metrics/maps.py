"""Entropy of the saliency map against how soon a policy is right (figure 7)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from saccade_env.evaluation.metrics.changes import first_correct
from saccade_env.evaluation.metrics.intervals import interval_table, percentiles, resamples
from saccade_env.evaluation.metrics.tables import policies_of


def entropy_relation(
    entropies: pd.DataFrame, records: pd.DataFrame, samples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Spearman's rank correlation of map entropy and saccade of first correct (figure 7).

    Images that are never right have no such saccade and are left out: for them see
    :func:`entropy_by_first_correct`.

    Args:
        entropies: Columns ``image``, ``policy``, ``entropy`` (bits, see ``core.map_entropy``), a
            row per image and policy.
        records: Of an evaluation; its unlabelled images do not count.
        samples: Bootstrap samples of images.
        seed: Draws them.

    Returns:
        Index policy, those of ``entropies``. Columns ``rho`` (-1 to 1, positive when even maps
        take longer), ``low``, ``high``, ``p_value`` (of no relation, two-sided), ``images``, how
        many these are, and ``never_correct``, how many were left out. Correlations are NaN with
        fewer than three images or when either side is constant.

    Raises:
        ValueError: A column is missing, the policy is not in the records, an image comes twice,
            or a labelled image has no entropy.
    """
    rows = {}
    for policy, pairs in _pairs(entropies, records).items():
        known = pairs.dropna()
        found = _spearman(known["entropy"], known["first_correct"], samples, seed)
        counts = {"images": len(known), "never_correct": len(pairs) - len(known)}
        rows[policy] = {**found, **counts}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")


def entropy_by_first_correct(
    entropies: pd.DataFrame, records: pd.DataFrame, samples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Mean map entropy of the images that are right first at the same saccade (figure 7).

    Args:
        entropies: As for :func:`entropy_relation`.
        records: Of an evaluation; its unlabelled images do not count.
        samples: Bootstrap samples, drawn within each group.
        seed: Draws them.

    Returns:
        Index (policy, first_correct), the groups that hold an image; first_correct is NaN for the
        images that are never right. Columns ``entropy`` (bits), ``low``, ``high`` and ``images``.

    Raises:
        ValueError: As :func:`entropy_relation`.
    """
    tables = []
    for policy, pairs in _pairs(entropies, records).items():
        for saccade, group in pairs.groupby("first_correct", dropna=False):
            mean = interval_table({"entropy": group[["entropy"]]}, samples, seed)
            groups = {"policy": policy, "first_correct": saccade, "images": len(group)}
            tables.append(mean.assign(**groups))
    columns = ["policy", "first_correct", "entropy", "low", "high", "images"]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
    return table[columns].set_index(columns[:2])


def _pairs(entropies: pd.DataFrame, records: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By policy, ``entropy`` and ``first_correct`` of every labelled image."""
    if lacking := {"image", "policy", "entropy"} - set(entropies):
        raise ValueError(f"entropies need the columns {sorted(lacking)}; got {list(entropies)}")
    pairs = {}
    for policy in policies_of(entropies):
        first = first_correct(records, policy)
        own = entropies[entropies["policy"] == policy].set_index("image")["entropy"].dropna()
        if own.index.has_duplicates:
            twice = own.index[own.index.duplicated()][0]
            raise ValueError(f"image {twice!r} has more than one entropy under {policy!r}")
        if len(lacks := first.index.difference(own.index)):
            raise ValueError(
                f"{len(lacks)} labelled images have no entropy under {policy!r}; "
                f"the first is {lacks[0]!r}"
            )
        pairs[policy] = pd.DataFrame({"entropy": own[first.index], "first_correct": first})
    return pairs


def _spearman(entropy: pd.Series, saccade: pd.Series, samples: int, seed: int) -> dict[str, float]:
    from scipy.stats import spearmanr  # takes a second to import

    if len(entropy) < 3 or entropy.nunique() < 2 or saccade.nunique() < 2:
        return dict.fromkeys(("rho", "low", "high", "p_value"), np.nan)
    rho, p_value = spearmanr(entropy, saccade)
    low, high = percentiles(_resampled_rho(entropy.to_numpy(), saccade.to_numpy(), samples, seed))
    return {"rho": float(rho), "low": float(low[0]), "high": float(high[0]), "p_value": p_value}


def _resampled_rho(
    entropy: Float[np.ndarray, " images"],
    saccade: Float[np.ndarray, " images"],
    samples: int,
    seed: int,
) -> Float[np.ndarray, "samples 1"]:
    """Spearman's rho of bootstrap samples of images; NaN where one has a constant side.

    A sample is how often it holds each image, so its ranks need no sorting again.
    """
    order = np.argsort(entropy, kind="stable")
    entropy, saccade = entropy[order], saccade[order]
    new = np.append(True, entropy[1:] != entropy[:-1])
    starts, tie = np.flatnonzero(new), np.cumsum(new) - 1
    values, place = np.unique(saccade, return_inverse=True)
    belongs = np.eye(len(values))[place]
    rho = np.full((samples, 1), np.nan)
    for rows, times in resamples(len(order), samples, seed):
        across, up = np.add.reduceat(times, starts, axis=1), times @ belongs
        across_rank, up_rank = _centred_ranks(across), _centred_ranks(up)
        joint = ((times * across_rank[:, tie]) @ belongs * up_rank).sum(1)
        spread = (across * across_rank**2).sum(1) * (up * up_rank**2).sum(1)
        np.divide(joint, np.sqrt(spread), out=rho[rows, 0], where=spread > 0)
    return rho


def _centred_ranks(
    counts: Float[np.ndarray, "samples values"],
) -> Float[np.ndarray, "samples values"]:
    """Rank of every value, from how often each comes in order; ties share their mean rank."""
    total = counts.sum(axis=1, keepdims=True)
    return counts.cumsum(axis=1) - (counts - 1) / 2 - (total + 1) / 2
