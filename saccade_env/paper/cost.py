"""FLOPs of maps and classifications, see :mod:`saccade_env.counting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch

from saccade_env.classifiers import Classifier
from saccade_env.core import HasMaps
from saccade_env.counting import flops


class Flops(TypedDict):
    """What one image costs, as plain data.

    ``maps`` has the FLOPs of a map by policy, and ``classifier`` those of a classification with so
    many tokens revealed as ``tokens`` tells, the last time with all.
    """

    maps: dict[str, int]
    tokens: list[int]
    classifier: list[int]


def map_flops(policy: HasMaps, image_size: tuple[int, int]) -> int:
    """FLOPs of a saliency map of one image of (height, width) pixels.

    What lies behind the layer whose attention is followed is not computed, and does not count.
    """
    image = torch.zeros(1, 3, *image_size, dtype=torch.uint8)
    with flops() as counted:
        policy.saliency_map(image)
        return counted()


def classifier_flops(judge: Classifier, image_size: tuple[int, int], tokens: int) -> int:
    """FLOPs of taking in one image of (height, width) pixels and classifying so many tokens."""
    rows, cols = judge.grid
    image = torch.zeros(1, 3, *image_size, dtype=torch.uint8)
    revealed = (torch.arange(rows * cols) < tokens).view(1, rows, cols)
    with flops() as counted:
        judge.classify(judge.begin(image), revealed)
        return counted()


def count(judge: Classifier, policies: Mapping[str, HasMaps], image_size: tuple[int, int]) -> Flops:
    """What the classifier costs with one token revealed and with every number of whole rows."""
    rows, cols = judge.grid
    tokens = [1, *(row * cols for row in range(1, rows + 1))]
    return Flops(
        maps={name: map_flops(policy, image_size) for name, policy in policies.items()},
        tokens=tokens,
        classifier=[classifier_flops(judge, image_size, number) for number in tokens],
    )
