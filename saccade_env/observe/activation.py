"""What a convolutional classifier sees in a foveated picture, and where.

A foveated picture is sharp where tokens are revealed and a blurred periphery elsewhere. The map is
the class activation map of what the classifier believes of it (Zhou et al. 2016), over all classes
by their probability: p of the class times its weights, less the mean class's. It is on the token
grid and scaled to 0…1. Nothing hidden enters it beyond the periphery's resolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.base import Convolutional
from saccade_env.core import View
from saccade_env.geometry import to_pixels
from saccade_env.observe.observers import Observer
from saccade_env.spaces import Observation


class Activation(Observer):
    """That map, beside the rest.

    Args:
        classifier: A :class:`Convolutional` one.
        periphery: Side in pixels of the whole picture where nothing is revealed yet.

    Raises:
        ValueError: The classifier has no such features, or ``periphery`` is below 1.
    """

    def __init__(self, classifier: Any, periphery: int) -> None:
        if not isinstance(classifier, Convolutional):
            raise ValueError(
                f"classifier {classifier.name!r} has no class activation map: it needs a "
                "convolutional one, such as 'efficientnet_lite0'"
            )
        if periphery < 1:
            raise ValueError(f"a foveated picture needs a periphery ≥ 1 pixel; got {periphery}")
        self.classifier, self.periphery = classifier, periphery

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        box = spaces.Box(0, 1, self.classifier.grid, np.float32)
        return spaces.Dict({**single.spaces, "activation": box})

    def fixed(self, images: Tensor) -> np.ndarray:
        blurred = blur(images, self.periphery)
        return torch.stack((images, blurred), 1).cpu().numpy()

    def now(self, view: View, fixed: np.ndarray) -> np.ndarray:
        sharp, blurred = torch.from_numpy(fixed).unbind(1)
        picture = foveate(sharp, blurred, view.revealed.cpu(), self.classifier.patch_size)
        return activation_map(self.classifier, picture).cpu().numpy()

    def __call__(self, observation: Observation, now: np.ndarray) -> Observation:
        return {**observation, "activation": now}


def blur(
    images: UInt8[Tensor, "batch 3 height width"], size: int
) -> UInt8[Tensor, "batch 3 height width"]:
    """Whole pictures at ``size`` by ``size`` pixels (area mean), enlarged again (bicubic)."""
    small = F.interpolate(images.float(), (size, size), mode="area").round()
    large = F.interpolate(small, images.shape[2:], mode="bicubic", align_corners=False)
    return large.clamp(0, 255).to(torch.uint8)


def foveate(
    sharp: UInt8[Tensor, "batch 3 height width"],
    blurred: UInt8[Tensor, "batch 3 height width"],
    revealed: Bool[Tensor, "batch rows cols"],
    patch_size: int,
) -> UInt8[Tensor, "batch 3 height width"]:
    """Sharp where tokens are revealed, blurred elsewhere."""
    return torch.where(to_pixels(revealed, patch_size)[:, None], sharp, blurred)


def activation_map(
    classifier: Any, images: UInt8[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch rows cols"]:
    """Class activation maps of whole pictures, float32, each scaled to 0…1 for itself."""
    features, weights = classifier.features(images), classifier.class_weights
    p = (features.mean((2, 3)) @ weights.T + classifier.class_biases).softmax(-1)
    believed = p @ weights - weights.mean(0)  # [B, channels]
    coarse = torch.einsum("bchw,bc->bhw", features, believed)[:, None]
    maps = F.interpolate(coarse, classifier.grid, mode="bilinear", align_corners=False)[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
