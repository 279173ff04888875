"""Policies on the pictures that people looked at: both comparisons in one pass."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from saccade_env import images
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.core import Policy
from saccade_env.evaluation.human.maps import compare_maps, no_common_image
from saccade_env.evaluation.human.scanpaths import compare_scanpaths
from saccade_env.evaluation.metrics.intervals import FEWEST
from saccade_env.evaluation.records import records_of
from saccade_env.images import ImageSource
from saccade_env.images.feeding import batches, check_workers


def compare(
    policies: Mapping[str, Policy],
    source: ImageSource,
    classifier: Classifier,
    fixations: pd.DataFrame,
    *,
    fovea: int = 3,
    saccades: int = 10,
    sigma: float = 1.0,
    first: int | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Maps and scanpaths of policies against human fixations.

    Args:
        policies: By name; those without a saliency map have no line in the first table.
        source: Pictures, of which those in ``fixations`` are looked at.
        classifier: Judges what is revealed; its grid is the policies'.
        fixations: Of :func:`read_fixations`.
        fovea: Side of the fovea in tokens, odd.
        saccades: Saccades per image.
        sigma: Of the Gaussian that makes a density of fixations, in tokens.
        first: Compare only this many first fixations of everyone; by default as many as a person
            makes (the median), since scanpaths of other lengths are the less alike for that.
        batch_size: Images per forward; changes no result.
        workers: Threads that decode.
        progress: Show a progress bar.

    Returns:
        Means with 95 % bootstrap intervals over images: maps (``policy, metric, value, low, high``)
        and scanpaths (the same, with rows ``"human"`` and ``"shuffled"`` for comparison).

    Raises:
        ValueError: No picture is in both.

    Warns:
        UserWarning: Fixations are on pictures that the source does not have, or on few pictures.
    """
    looked = set(fixations["image"])
    indices = [i for i in range(len(source)) if source.id(i) in looked]
    if not indices:
        raise no_common_image("images", (source.id(i) for i in range(len(source))), looked)
    config = SaccadeConfig(classifier.grid, fovea, saccades)
    device = classifier.device
    records, names = [], list[str]()
    maps: dict[str, list[torch.Tensor]] = {n: [] for n, p in policies.items() if hasattr(p, "maps")}
    with tqdm(total=len(indices) * len(policies), unit="scanpath", disable=not progress) as bar:
        for batch in batches(source, indices, batch_size, "raise", check_workers(workers)):
            pixels = images.stack(batch.pictures)[0].to(device)
            names += [picture.id for picture in batch.pictures]
            for name, found in maps.items():
                policy: Any = policies[name]
                found.append(policy.maps(pixels).cpu())
            named = dict(policies)
            records.append(
                records_of(batch.pictures, named, config, classifier, device, bar.update)
            )
    own = fixations[fixations["image"].isin(names)]
    compared = [
        compare_maps(torch.cat(found).numpy(), names, own, sigma=sigma).mean.assign(policy=name)
        for name, found in maps.items()
    ]
    columns = ["policy", "metric", "value", "low", "high"]
    table = pd.concat(compared)[columns] if compared else pd.DataFrame(columns=columns)
    if left := len(fixations) - len(own):
        unknown = looked - set(names)
        warnings.warn(
            f"left out: {left} fixations on {len(unknown)} images that {source.name!r} does not "
            f"have, such as {min(unknown)!r}",
            stacklevel=2,
        )
    if len(names) < FEWEST:
        warnings.warn(
            f"people looked at {len(names)} of these images; intervals from fewer than {FEWEST} "
            "are too narrow to be trusted",
            stacklevel=2,
        )
    made = int(own.groupby(["image", "subject"]).size().median())
    paths = compare_scanpaths(
        pd.concat(records), own, classifier.grid, first=first or min(made, saccades)
    ).mean
    return table.reset_index(drop=True), paths
