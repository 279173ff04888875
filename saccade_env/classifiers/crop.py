"""Classification of one cropped window (paper, figure 10: ResNet-50 on the region a policy chose).

The window is square, centred on a fixation, and shifted where it would leave the image.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.errors import unknown_name
from saccade_env.geometry import row_col_to_pixel

RESIZES = ("input", "none")


class CropClassifier:
    """Sees one window of each image and nothing else.

    Args:
        cnn: ResNet-50 (the paper's) or another convolutional classifier.
        crop_pixels: Side of the window. The paper's 48 is a 3×3 fovea of 16-pixel tokens.
        resize: ``"input"`` enlarges the window to ``input_pixels`` (bicubic), ``"none"`` classifies
            it at its own size. The paper does not say which.
        input_pixels: Side of the enlarged window.

    Raises:
        ValueError: A side is below 1, or there is no such rule.
    """

    def __init__(
        self,
        cnn: CnnClassifier,
        crop_pixels: int = 48,
        resize: Literal["input", "none"] = "input",
        input_pixels: int = 224,
    ) -> None:
        if min(crop_pixels, input_pixels) < 1:
            raise ValueError(f"sides must be ≥ 1 pixel; got {crop_pixels} and {input_pixels}")
        if resize not in RESIZES:
            raise unknown_name("resize rule", resize, RESIZES)
        self.cnn, self.crop_pixels = cnn, crop_pixels
        self.resize, self.input_pixels = resize, input_pixels

    def share(self, image_size: tuple[int, int]) -> float:
        """Share of the image that the window shows, 0 to 1 (the paper prints 2.1 %)."""
        return self.crop_pixels**2 / (image_size[0] * image_size[1])

    def crop(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        fixations: Int[Tensor, "batch 2"],
    ) -> Shaped[Tensor, "batch 3 side side"]:
        """Cut the windows out.

        Args:
            images: uint8, or normalised.
            fixations: (row, col) of tokens, on the grid of the classifier's patch size.

        Raises:
            ValueError: The window is larger than the image.
        """
        side, size = self.crop_pixels, torch.tensor(images.shape[-2:], device=images.device)
        if side > int(size.min()):
            raise ValueError(f"crop of {side} pixels does not fit images of {size.tolist()}")
        centre = row_col_to_pixel(fixations.to(images.device), self.cnn.patch_size)
        corner = torch.minimum((centre - side / 2).floor().long().clamp(min=0), size - side)
        places = corner[..., None] + torch.arange(side, device=images.device)
        row, col = places[:, 0, :, None], places[:, 1, None, :]
        batch = torch.arange(len(images), device=images.device)[:, None, None]
        return images[batch, :, row, col].permute(0, 3, 1, 2)

    @torch.no_grad()
    def classify(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        fixations: Int[Tensor, "batch 2"],
    ) -> Float[Tensor, "batch classes"]:
        """Logits of the windows around (row, col) fixations."""
        windows = self.cnn.normalise(self.crop(images, fixations))
        if self.resize == "input":
            size = (self.input_pixels, self.input_pixels)
            windows = F.interpolate(windows, size, mode="bicubic", antialias=True)
        return self.cnn.network(windows)
