"""Scanpaths of policies against those of people, with a ceiling and a floor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd

from saccade_env.evaluation.human.alignment import Scanpath, similarities
from saccade_env.evaluation.human.fixations import check_fixations
from saccade_env.evaluation.human.maps import means, no_common_image
from saccade_env.geometry import Grid

SIMILARITIES = ["scanmatch", "dtw"]
CEILING, FLOOR = "human", "shuffled"


class ScanpathComparison(NamedTuple):
    """Scanpaths of policies against those of people.

    Attributes:
        per_image: Columns ``image``, ``policy``, ``scanmatch``, ``dtw``, 0 to 1. Besides the
            policies, ``"human"`` is the ceiling and ``"shuffled"`` the floor.
        mean: Columns ``policy``, ``metric``, ``value``, ``low``, ``high``: means over the images
            and their 95 % bootstrap intervals.
    """

    per_image: pd.DataFrame
    mean: pd.DataFrame


def compare_scanpaths(
    records: pd.DataFrame,
    fixations: pd.DataFrame,
    grid: Grid,
    *,
    first: int | None = None,
    cutoff: float | None = None,
    samples: int = 2000,
    seed: int = 0,
) -> ScanpathComparison:
    """Compare every policy's scanpath with every subject's on the same image.

    A policy's value on an image is the mean over the subjects. The ceiling is how well people
    predict each other: the mean over all pairs of subjects, NaN with a single one. The floor is how
    alike scanpaths are whatever the image: the subjects' against the scanpaths of another image,
    drawn at random; NaN if there is one image. Images without fixations, and fixations on images
    without records, do not count.

    Args:
        records: Columns ``image``, ``policy``, ``saccade``, ``row``, ``col``, of an evaluation.
        fixations: As :func:`read_fixations` returns them. Leave out the one that an experiment
            imposes, such as a cross in the centre.
        grid: (rows, cols) of both.
        first: Compare the first so many fixations of everyone; None: all.
        cutoff: Distance in tokens from which two fixations are no match to ``scanmatch``; None: a
            quarter of the grid's diagonal.
        samples: Bootstrap samples.
        seed: Draws them and the other images.

    Returns:
        Means of what :mod:`saccade_env.evaluation.human.alignment` defines: ``scanmatch`` and
        ``dtw``, both 0 to 1.

    Raises:
        ValueError: Records or fixations are not as above or lie outside the grid, ``first`` or
            ``cutoff`` is not positive, a policy is called as the ceiling or the floor, or no
            image has both records and fixations.
    """
    diagonal = float(np.hypot(*grid))
    cutoff = diagonal / 4 if cutoff is None else cutoff
    _check_options(first, cutoff)
    policies = _scanpaths(_as_fixations(records, grid), first)
    people = _scanpaths(check_fixations(fixations, grid), first)
    images = [image for image in policies if image in people]
    if not images:
        raise no_common_image("records", policies, people)
    names = [*map(str, dict.fromkeys(records["policy"])), CEILING, FLOOR]
    rows = []
    for image, other in zip(images, _other_images(images, seed), strict=True):
        pairs = _pairs(policies[image], people[image], people[other] if other != image else {})
        for name in filter(pairs.get, names):  # leaves out what has no pairs here
            found = similarities(pairs[name], cutoff, diagonal)
            rows.append({"image": image, "policy": name, **found})
    per_image = pd.DataFrame(rows)
    return ScanpathComparison(per_image, _means_by_policy(per_image, names, samples, seed))


def _pairs(
    policies: dict[str, Scanpath], people: dict[str, Scanpath], elsewhere: dict[str, Scanpath]
) -> dict[str, list[tuple[Scanpath, Scanpath]]]:
    """What to compare on one image; ``elsewhere`` are the scanpaths on another one."""
    paths = [*people.values()]
    return {
        **{name: [*product([path], paths)] for name, path in policies.items()},
        CEILING: [*combinations(paths, 2)],
        FLOOR: [*product(elsewhere.values(), paths)],
    }


def _as_fixations(records: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Records in the columns of fixations: a policy is a subject, a saccade an order."""
    needed = ["image", "policy", "saccade", "row", "col"]
    if missing := [column for column in needed if column not in records]:
        raise ValueError(f"records need columns {', '.join(needed)}; missing: {', '.join(missing)}")
    if taken := {CEILING, FLOOR} & set(records["policy"]):
        raise ValueError(f"no policy may be called {taken.pop()!r}, which stands for a reference")
    try:
        return check_fixations(
            records[needed].rename(columns={"policy": "subject", "saccade": "order"}), grid
        )
    except ValueError as error:
        raise ValueError(f"records, with policies as subjects: {error}") from error


def _scanpaths(fixations: pd.DataFrame, first: int | None) -> dict[str, dict[str, Scanpath]]:
    """By image and subject, in the order of the frame."""
    found: dict[str, dict[str, Scanpath]] = {}
    for (image, subject), path in fixations.groupby(["image", "subject"]):
        places = path[["row", "col"]].to_numpy(dtype=float)[:first]
        found.setdefault(str(image), {})[str(subject)] = places
    return found


def _other_images(images: Sequence[str], seed: int) -> list[str]:
    """For each image another one, each once."""
    order = np.random.default_rng(seed).permutation(len(images))
    following = dict(zip(order, np.roll(order, 1), strict=True))
    return [images[following[index]] for index in range(len(images))]


def _check_options(first: int | None, cutoff: float) -> None:
    if first is not None and first < 1:
        raise ValueError(f"first must be a positive number of fixations; got {first}")
    if not 0 < cutoff < np.inf:
        raise ValueError(f"cutoff must be a positive number of tokens; got {cutoff}")


def _means_by_policy(
    per_image: pd.DataFrame, names: Sequence[str], samples: int, seed: int
) -> pd.DataFrame:
    parts = []
    for name in names:
        own = means(per_image[per_image["policy"] == name], SIMILARITIES, samples, seed)
        own.insert(0, "policy", name)
        parts.append(own)
    return pd.concat(parts, ignore_index=True)
