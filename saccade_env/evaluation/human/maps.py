"""Saliency maps of a policy against where people looked, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saccade_env.evaluation.human.fixations import check_fixations, holding_tokens
from saccade_env.evaluation.human.metrics import auc, cc, fixation_density, kl_divergence, nss
from saccade_env.evaluation.metrics import interval
from saccade_env.geometry import Grid

METRICS = ["nss", "auc", "kl", "cc"]


class MapComparison(NamedTuple):
    """Maps against fixations.

    Attributes:
        per_image: Columns ``image``, ``fixations`` (how many), ``nss``, ``auc``, ``kl``, ``cc``.
        mean: Columns ``metric``, ``value``, ``low``, ``high``: means over the images and their
            95 % bootstrap intervals.
    """

    per_image: pd.DataFrame
    mean: pd.DataFrame


def compare_maps(
    maps: Float[Tensor, "batch rows cols"] | Float[np.ndarray, "batch rows cols"],
    images: Sequence[str],
    fixations: pd.DataFrame,
    *,
    sigma: float = 1.0,
    samples: int = 2000,
    seed: int = 0,
) -> MapComparison:
    """Compare one saliency map an image with where people looked.

    Images without fixations, and fixations on other images, do not count.

    Args:
        maps: Any finite values; higher is more salient.
        images: Their ids, as in the fixations.
        fixations: As :func:`read_fixations` returns them.
        sigma: Of the Gaussian that smooths fixations to a density, in tokens; one degree of
            visual angle is usual. Only KL and CC depend on it.
        samples: Bootstrap samples.
        seed: Draws them.

    Returns:
        What :mod:`saccade_env.evaluation.human.metrics` defines, in the order of ``images``:
        ``nss`` (chance 0), ``auc`` (0 to 1, chance 0.5), ``kl`` (nats, best 0), ``cc`` (-1 to 1).

    Raises:
        ValueError: Shapes or values are not as above, an image comes twice, a fixation is outside
            the grid, or no image has both a map and fixations.
    """
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma must be a positive number of tokens; got {sigma}")
    images = [*map(str, images)]
    values = _checked_maps(maps, images)
    grid: Grid = (values.shape[1], values.shape[2])
    looked = dict(iter(check_fixations(fixations, grid).groupby("image")))
    rows = [
        {"image": image, **_compare(saliency, holding_tokens(looked[image], grid), sigma)}
        for image, saliency in zip(images, values, strict=True)
        if image in looked
    ]
    if not rows:
        raise no_common_image("maps", images, looked)
    per_image = pd.DataFrame(rows)
    return MapComparison(per_image, means(per_image, METRICS, samples, seed))


def means(per_image: pd.DataFrame, metrics: Sequence[str], samples: int, seed: int) -> pd.DataFrame:
    """Mean over the images with its 95 % bootstrap interval, a row a metric; NaN does not count."""
    intervals = {metric: interval(per_image[metric], samples, seed) for metric in metrics}
    return pd.DataFrame(
        [{"metric": metric, **found._asdict()} for metric, found in intervals.items()]
    )


def no_common_image(what: str, images: Iterable[str], looked: Iterable[object]) -> ValueError:
    """Build the error for ids that do not fit; it shows one of either side."""
    return ValueError(
        f"no image has both {what} and fixations, whose ids must be the same; {what} have "
        f"{next(iter(images), None)!r}, fixations {next(iter(looked))!r}"
    )


def _compare(
    saliency: Float[np.ndarray, "rows cols"], tokens: Int[np.ndarray, "fixations 2"], sigma: float
) -> dict[str, float]:
    rows, cols = saliency.shape
    density = fixation_density(tokens, (rows, cols), sigma)
    return {
        "fixations": len(tokens),
        "nss": nss(saliency, tokens),
        "auc": auc(saliency, tokens),
        "kl": kl_divergence(saliency, density),
        "cc": cc(saliency, density),
    }


def _checked_maps(
    maps: Tensor | np.ndarray, images: Sequence[str]
) -> Float[np.ndarray, "batch rows cols"]:
    values = torch.as_tensor(maps).detach().cpu().double().numpy()
    if values.ndim != 3 or len(values) != len(images) or 0 in values.shape[1:]:
        raise ValueError(
            f"maps must be [{len(images)}, rows, cols], one for each image; got {values.shape}"
        )
    if len(set(images)) < len(images):
        raise ValueError("an image comes twice")
    finite = np.isfinite(values).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(
            f"maps must be finite; {(~finite).sum()} are not, the first is of "
            f"{images[int(finite.argmin())]!r}"
        )
    return values
