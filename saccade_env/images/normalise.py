"""Pixel values as networks trained on ImageNet want them. Every such network here uses this."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

Colour = tuple[float, float, float]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, RGB, of 0 to 1


def normalise_imagenet(
    images: UInt8[Tensor, "batch 3 height width"],
    size: tuple[int, int] | None = None,
    mean: Colour = MEAN,
    std: Colour = STD,
) -> Float[Tensor, "batch 3 rows cols"]:
    """Normalise by ImageNet's mean and deviation, or by a network's own.

    Args:
        images: RGB, 0 to 255.
        size: Squash to this (height, width) in pixels first (bilinear, antialiased).
        mean: RGB value, 0 to 1, that becomes 0.
        std: RGB range, 0 to 1, that becomes 1.
    """
    pixels = images.float() / 255
    if size is not None and tuple(pixels.shape[-2:]) != size:
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    return (pixels - pixels.new_tensor(mean).view(3, 1, 1)) / pixels.new_tensor(std).view(3, 1, 1)
