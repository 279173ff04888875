"""FLOPs of the networks, counted by torch while they run: a multiplication with its addition is 2.

Only matrix products, convolutions and attention count, as they are nearly all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from saccade_env.classifiers import Classifier
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.core import HasMaps


class Flops(TypedDict):
    """What one image costs, as plain data.

    ``maps`` has the FLOPs of a map by policy, and ``classifier`` those of a classification with so
    many tokens revealed as ``tokens`` tells, the last time with all.
    """

    maps: dict[str, int]
    tokens: list[int]
    classifier: list[int]


def flops(call: Callable[[], object]) -> int:
    """FLOPs of a call."""
    # Not every kernel of fused attention has a formula in torch; plain products all have.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def map_flops(policy: HasMaps, image_size: tuple[int, int]) -> int:
    """FLOPs of a saliency map of one image of (height, width) pixels.

    What lies behind the layer whose attention is followed is not computed, and does not count.
    """
    image = torch.zeros(1, 3, *image_size, dtype=torch.uint8)
    return flops(lambda: policy.saliency_map(image))


def classifier_flops(judge: Classifier, image_size: tuple[int, int], tokens: int) -> int:
    """FLOPs of taking in one image of (height, width) pixels and classifying so many tokens."""
    rows, cols = judge.grid
    image = torch.zeros(1, 3, *image_size, dtype=torch.uint8)
    revealed = (torch.arange(rows * cols) < tokens).view(1, rows, cols)
    if isinstance(judge, CnnClassifier):  # torch sees nothing of what ONNX Runtime computes
        return flops(lambda: judge.network(judge.begin(image)))
    return flops(lambda: judge.classify(judge.begin(image), revealed))


def count(judge: Classifier, policies: Mapping[str, HasMaps], image_size: tuple[int, int]) -> Flops:
    """What the classifier costs with one token revealed and with every number of whole rows."""
    rows, cols = judge.grid
    tokens = [1, *(row * cols for row in range(1, rows + 1))]
    return Flops(
        maps={name: map_flops(policy, image_size) for name, policy in policies.items()},
        tokens=tokens,
        classifier=[classifier_flops(judge, image_size, number) for number in tokens],
    )
