"""Certainty and map entropy, held against how soon an image is right (figures 5 and 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from saccade_env.evaluation.metrics.correct import first_correct
from saccade_env.evaluation.metrics.intervals import interval_table, percentiles, resamples
from saccade_env.evaluation.metrics.tables import by_image, policies_of, right_in_full

_LEVELS = ["policy", "first_correct"]
_MEANS = ("certainty", "full_certainty")
_CERTAINTIES = tuple(f"{name}{bound}" for name in _MEANS for bound in ("", "_low", "_high"))


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
        tables[policy] = _means(_certainties(records, policy), right.index[right], samples, seed)
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
    groups = {}
    for policy in policies_of(records):
        first = first_correct(records, policy)
        if full_image_right:
            first = first[right_in_full(records, policy)[first.index]]
        groups[policy] = first, _certainties(records, policy)
    return _by_group(groups, [*_LEVELS, "saccade"], _CERTAINTIES, samples, seed)


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
    groups = {
        policy: (pairs["first_correct"], {"entropy": pairs[["entropy"]]})
        for policy, pairs in _pairs(entropies, records).items()
    }
    return _by_group(groups, _LEVELS, ("entropy", "low", "high"), samples, seed)


def _certainties(records: pd.DataFrame, policy: str) -> dict[str, pd.DataFrame]:
    return {name: by_image(records, policy, name) for name in _MEANS}


def _means(
    parts: Mapping[str, pd.DataFrame], images: pd.Index, samples: int, seed: int
) -> pd.DataFrame:
    own = {name: part.loc[images] for name, part in parts.items()}
    return interval_table(own, samples, seed).assign(images=len(images))


def _by_group(
    groups: Mapping[str, tuple[pd.Series, Mapping[str, pd.DataFrame]]],
    levels: list[str], columns: Sequence[str], samples: int, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Means over the images that are right first at the same saccade, by policy."""
    tables = [
        _means(parts, group.index, samples, seed)
        .reset_index(names="saccade")
        .assign(policy=policy, first_correct=saccade)
        for policy, (first, parts) in groups.items()
        for saccade, group in first.groupby(first, dropna=False)
    ]
    columns = [*levels, *columns, "images"]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=columns, dtype=float)
    return table[columns].set_index(levels)


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
    return np.asarray(counts.cumsum(axis=1) - (counts - 1) / 2 - (total + 1) / 2)
