"""Saliency maps and scanpaths of policies beside the fixations of people, image by image."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from saccade_env.classifiers import Classifier
from saccade_env.config import PAPER, SaccadeConfig
from saccade_env.core import HasMaps, Policy
from saccade_env.evaluation.human import metrics
from saccade_env.evaluation.human.fixations import check_fixations, holding_tokens, on_grid
from saccade_env.evaluation.human.metrics import Scanpath
from saccade_env.evaluation.metrics.intervals import FEWEST, Interval, interval
from saccade_env.evaluation.records import records_of
from saccade_env.geometry import Grid
from saccade_env.images import ImageSource, stack
from saccade_env.images.feeding import batches, check_workers, chunked

MAP_METRICS = ["nss", "auc", "kl", "cc"]
SIMILARITIES = ["scanmatch", "dtw"]
OffGrid = Literal["raise", "keep"]
CEILING, FLOOR = "human", "shuffled"
_BY_POLICY = ["policy", "metric", *Interval._fields]


class Comparison(NamedTuple):
    """What was found on every image, and means over the images with 95 % bootstrap intervals.

    Attributes:
        per_image: Columns ``image``, ``policy`` of scanpaths or ``fixations`` (how many) of maps,
            and one for each metric.
        mean: Columns ``policy`` of scanpaths, ``metric``, ``value``, ``low``, ``high``.
    """

    per_image: pd.DataFrame
    mean: pd.DataFrame


def compare(
    policies: Mapping[str, Policy],
    source: ImageSource,
    classifier: Classifier,
    fixations: pd.DataFrame,
    config: SaccadeConfig = PAPER,
    *,
    sigma: float = 1.0,
    first: int | None = None,
    outside: OffGrid = "raise",
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
        config: The task; its grid is replaced by the classifier's.
        sigma: Of the Gaussian that makes a density of fixations, in tokens.
        first: Compare only this many first fixations of everyone; by default as many as a person
            makes (the median), since scanpaths of other lengths are the less alike for that.
        outside: ``"keep"`` lets fixations outside the grid count, for scanpaths alone: there is no
            token under them, so maps are compared with the others.
        batch_size: Images per forward; changes no result.
        workers: Threads that decode.
        progress: Show a progress bar.

    Returns:
        Means with 95 % bootstrap intervals over images, of maps (``policy, metric, value, low,
        high``) and scanpaths (the same, with rows ``"human"`` and ``"shuffled"`` for comparison).

    Raises:
        ValueError: No picture is in both, two have the same id, or a value is wrong; nothing was
            computed then.

    Warns:
        UserWarning: Fixations are on pictures that the source does not have, or on few pictures.
    """
    config = config.on(classifier.grid)
    _check_options(policies, sigma=sigma, first=first)
    looked = check_fixations(fixations, config.grid, outside)
    ids = [source.id(i) for i in range(len(source))]
    indices = [i for i, image in enumerate(ids) if image in set(looked["image"])]
    names = [ids[i] for i in indices]
    _check_images("images", names or ids, looked["image"])
    own = looked[looked["image"].isin(names)]
    _warn_of_few(own, looked, source.name)
    maps: dict[str, list[Tensor]] = {n: [] for n, p in policies.items() if isinstance(p, HasMaps)}
    named, records = dict(policies), []
    with tqdm(total=len(indices) * len(policies), unit="scanpath", disable=not progress) as bar:
        for batch in batches(source, chunked(indices, batch_size), "raise", check_workers(workers)):
            pixels = stack(batch.pictures)[0]
            for name, policy in policies.items():
                if isinstance(policy, HasMaps):
                    maps[name].append(policy.maps(pixels))
            part = records_of(batch.pictures, named, config, classifier, bar.update)
            records.append(part.records)
    seen = on_grid(own, config.grid)
    compared = [
        compare_maps(torch.cat(found), names, seen, sigma=sigma).mean.assign(policy=name)
        for name, found in maps.items()
    ]
    table = pd.concat(compared or [pd.DataFrame(columns=_BY_POLICY)], ignore_index=True)
    if first is None:
        made = int(own.groupby(["image", "subject"]).size().median())
        first = min(made, config.max_saccades)
    paths = compare_scanpaths(
        pd.concat(records), own, classifier.grid, first=first, outside=outside
    )
    return table[_BY_POLICY], paths.mean


def compare_maps(
    maps: Tensor | np.ndarray,
    images: Sequence[str],
    fixations: pd.DataFrame,
    *,
    sigma: float = 1.0,
    samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare one saliency map an image with where people looked.

    Images without fixations, and fixations on other images, do not count.

    Args:
        maps: [batch, rows, cols], any finite values; higher is more salient.
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
    _check_options(sigma=sigma)
    images = [*map(str, images)]
    values = torch.as_tensor(maps).detach().cpu().double().numpy()
    if values.ndim != 3 or len(values) != len(images) or 0 in values.shape[1:]:
        raise ValueError(
            f"maps must be [{len(images)}, rows, cols], one for each image; got {values.shape}"
        )
    if not (finite := np.isfinite(values).all(axis=(1, 2))).all():
        raise ValueError(
            f"maps must be finite; {(~finite).sum()} are not, the first is of "
            f"{images[int(finite.argmin())]!r}"
        )
    grid: Grid = (values.shape[1], values.shape[2])
    looked = {str(image): own for image, own in check_fixations(fixations, grid).groupby("image")}
    _check_images("maps", images, looked)
    rows = []
    for image, saliency in zip(images, values, strict=True):
        if image in looked:
            tokens = holding_tokens(looked[image], grid)
            density = metrics.fixation_density(tokens, grid, sigma)
            found = {
                "nss": metrics.nss(saliency, tokens),
                "auc": metrics.auc(saliency, tokens),
                "kl": metrics.kl_divergence(saliency, density),
                "cc": metrics.cc(saliency, density),
            }
            rows.append({"image": image, "fixations": len(tokens), **found})
    per_image = pd.DataFrame(rows)
    return Comparison(per_image, _means(per_image, MAP_METRICS, samples, seed))


def compare_scanpaths(
    records: pd.DataFrame,
    fixations: pd.DataFrame,
    grid: Grid,
    *,
    first: int | None = None,
    cutoff: float | None = None,
    outside: OffGrid = "raise",
    samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare every policy's scanpath with every subject's on the same image.

    A policy's value on an image is the mean over the subjects. The ceiling, ``"human"``, is how
    well people predict each other: the mean over all pairs of subjects, NaN with a single one. The
    floor, ``"shuffled"``, is how alike scanpaths are whatever the image: the subjects' against the
    scanpaths of another image, drawn at random; NaN if there is one image. Images without
    fixations, and fixations on images without records, do not count.

    Args:
        records: Columns ``image``, ``policy``, ``saccade``, ``row``, ``col``, of an evaluation.
        fixations: As :func:`read_fixations` returns them. Leave out the one that an experiment
            imposes, such as a cross in the centre.
        grid: (rows, cols) of both.
        first: Compare the first so many fixations of everyone; None: all.
        cutoff: Distance in tokens from which two fixations are no match to ``scanmatch``; None: a
            quarter of the grid's diagonal.
        outside: ``"keep"`` lets people's fixations outside the grid count where they are.
        samples: Bootstrap samples.
        seed: Draws them and the other images.

    Returns:
        ``scanmatch`` and ``dtw`` of :mod:`saccade_env.evaluation.human.metrics`, both 0 to 1
        (``dtw`` may be less with fixations farther off the grid than its diagonal is long).

    Raises:
        ValueError: Records or fixations are not as above or lie outside the grid, ``first`` or
            ``cutoff`` is not positive, a policy is called as the ceiling or the floor, or no
            image has both records and fixations.
    """
    diagonal = float(np.hypot(*grid))
    cutoff = diagonal / 4 if cutoff is None else cutoff
    needed = ["image", "policy", "saccade", "row", "col"]
    if missing := [column for column in needed if column not in records]:
        raise ValueError(f"records need columns {', '.join(needed)}; missing: {', '.join(missing)}")
    _check_options(records["policy"].unique(), cutoff=cutoff, first=first)
    renamed = records[needed].rename(columns={"policy": "subject", "saccade": "order"})
    try:
        policies = _scanpaths(check_fixations(renamed, grid), first)
    except ValueError as error:
        raise ValueError(f"records, with policies as subjects: {error}") from error
    people = _scanpaths(check_fixations(fixations, grid, outside), first)
    _check_images("records", policies, people)
    images = [image for image in policies if image in people]
    order = np.random.default_rng(seed).permutation(len(images))
    elsewhere = dict(zip(order, np.roll(order, 1), strict=True))  # for each image another, once
    names = [*map(str, records["policy"].unique()), CEILING, FLOOR]
    rows = []
    for place, image in enumerate(images):
        own, others = people[image].values(), people[images[elsewhere[place]]].values()
        pairs = {name: [*product([path], own)] for name, path in policies[image].items()}
        pairs[CEILING] = [*combinations(own, 2)]
        pairs[FLOOR] = [*product(others, own)] if len(images) > 1 else []
        for name in filter(pairs.get, names):  # leaves out what has no pairs here
            found = metrics.similarities(pairs[name], cutoff, diagonal)
            rows.append({"image": image, "policy": name, **found})
    per_image = pd.DataFrame(rows)
    means = [
        _means(own, SIMILARITIES, samples, seed).assign(policy=name)
        for name in names
        for own in [per_image[per_image["policy"] == name]]
    ]
    return Comparison(per_image, pd.concat(means, ignore_index=True)[_BY_POLICY])


def _scanpaths(fixations: pd.DataFrame, first: int | None) -> dict[str, dict[str, Scanpath]]:
    """By image and subject, in the order of the frame."""
    found: dict[str, dict[str, Scanpath]] = {}
    for (image, subject), path in fixations.groupby(["image", "subject"]):
        places = path[["row", "col"]].to_numpy(dtype=float)[:first]
        found.setdefault(str(image), {})[str(subject)] = places
    return found


def _means(per_image: pd.DataFrame, names: list[str], samples: int, seed: int) -> pd.DataFrame:
    """Mean over the images with its interval, a row a metric; NaN does not count."""
    found = {name: interval(per_image[name], samples, seed) for name in names}
    return pd.DataFrame(found, Interval._fields).T.rename_axis("metric").reset_index()


def _check_options(policies: Iterable[str] = (), **numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not 0 < number < np.inf:
            of = "fixations" if name == "first" else "tokens"
            raise ValueError(f"{name} must be a positive number of {of}; got {number}")
    if taken := {CEILING, FLOOR} & {*policies}:
        raise ValueError(f"no policy may be called {taken.pop()!r}, which stands for a reference")


def _check_images(what: str, images: Iterable[str], looked: Iterable[str]) -> None:
    """Refuse ids of which two are equal, or none is among the fixations'."""
    images, looked = [*images], [*looked]
    if len(set(images)) < len(images):
        raise ValueError("an image comes twice")
    if not {*images} & {*looked}:
        raise ValueError(
            f"no image has both {what} and fixations, whose ids must be the same; {what} have "
            f"{next(iter(images), None)!r}, fixations {looked[0]!r}"
        )


def _warn_of_few(own: pd.DataFrame, looked: pd.DataFrame, source: str) -> None:
    if left := len(looked) - len(own):
        unknown = set(looked["image"]) - set(own["image"])
        warnings.warn(
            f"left out: {left} fixations on {len(unknown)} images that {source!r} does not have, "
            f"such as {min(unknown)!r}",
            stacklevel=3,
        )
    if (images := own["image"].nunique()) < FEWEST:
        warnings.warn(
            f"people looked at {images} of these images; intervals from fewer than {FEWEST} are "
            "too narrow to be trusted",
            stacklevel=3,
        )
