"""What a convolutional classifier sees in a foveated picture, and where.

A foveated picture is sharp where tokens are revealed and a blurred periphery elsewhere. The map is
the class activation map of what the classifier believes of it (Zhou et al. 2016), over all classes
by their probability: p of the class times its weights, less the mean class's. It is on the token
grid and scaled to 0…1. Nothing hidden enters it beyond the periphery's resolution.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.base import Convolutional
from saccade_env.geometry import resize_map, to_pixels


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


def logits_and_activation(
    classifier: Convolutional, images: UInt8[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch rows cols"]]:
    """Logits of whole pictures and their class activation maps, from one forward."""
    features = classifier.features(images)
    logits = logits_of(classifier, features)
    return logits, scaled(class_activation(classifier, features, logits))


def logits_of(
    classifier: Convolutional, features: Float[Tensor, "batch channels h w"]
) -> Float[Tensor, "batch classes"]:
    """What the last layer makes of features."""
    return features.mean((2, 3)) @ classifier.class_weights.T + classifier.class_biases


def class_activation(
    classifier: Convolutional,
    features: Float[Tensor, "batch channels h w"],
    logits: Float[Tensor, "batch classes"],
) -> Float[Tensor, "batch rows cols"]:
    """Where there is in these features what is believed, on the token grid; not scaled."""
    weights = classifier.class_weights
    believed = logits.softmax(-1) @ weights - weights.mean(0)  # [B, channels]
    coarse = torch.einsum("bchw,bc->bhw", features, believed)
    return resize_map(coarse, classifier.grid)


def scaled(maps: Float[Tensor, "batch rows cols"]) -> Float[Tensor, "batch rows cols"]:
    """Each map scaled to 0…1 for itself; a flat one is 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
