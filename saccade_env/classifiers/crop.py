"""Classification of one cropped window (paper, figure 10: ResNet-50 on the region a policy chose).

The crop is the smallest window of tokens that holds what is revealed. A fovea that the border has
clipped is shifted into the image instead, so that every crop is as large as the fovea.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.base import Classifier
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.runtime import on_device
from saccade_env.errors import unknown_name
from saccade_env.geometry import Grid, grid_of

Resize = Literal["input", "none"]


class CropClassifier(Classifier):
    """Sees one window of each image and nothing else; evaluate it for a single saccade.

    Args:
        cnn: ResNet-50 (the paper's) or another convolutional classifier.
        image_size: (height, width) of the images in pixels.
        fovea: Side of the task's fovea in tokens: the least side of a crop. The paper's crop of 48
            pixels is a 3×3 fovea of 16-pixel tokens.
        resize: ``"input"`` enlarges the crop to ``input_pixels`` (bicubic), ``"none"`` classifies
            it at its own size. The paper does not say which.
        input_pixels: Side of the enlarged crop.

    Raises:
        ValueError: A side is below 1 or larger than the image, or there is no such rule.
    """

    def __init__(
        self,
        cnn: CnnClassifier,
        image_size: tuple[int, int] = (224, 224),
        fovea: int = 3,
        resize: Resize = "input",
        input_pixels: int = 224,
    ) -> None:
        self.grid = grid_of(image_size, cnn.patch_size)
        if not 1 <= fovea <= min(self.grid) or input_pixels < 1:
            raise ValueError(
                f"a crop must be 1 to {min(self.grid)} tokens, enlarged to ≥ 1 pixel; "
                f"got {fovea} and {input_pixels}"
            )
        if resize not in get_args(Resize):
            raise unknown_name("resize rule", resize, get_args(Resize))
        self.cnn, self.fovea, self.resize, self.input_pixels = cnn, fovea, resize, input_pixels
        self.name, self.weights = f"{cnn.name} on the crop", cnn.weights
        self.patch_size, self.num_classes, self.device = cnn.patch_size, cnn.num_classes, cnn.device

    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Normalised images."""
        return self.cnn.normalise(images)

    @torch.no_grad()
    def classify(
        self,
        memory: Float[Tensor, "batch 3 height width"],
        revealed: Bool[Tensor, "batch rows cols"],
    ) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        """Logits of the crops; where nothing is revealed, of a neutral one."""
        revealed = on_device(revealed, self.device)
        windows, seen = crop_windows(revealed, self.fovea), revealed.flatten(1).any(1)
        logits = memory.new_empty(len(memory), self.num_classes)
        for size in windows[:, 2:].unique(dim=0).tolist():  # as a rule there is one
            rows = (windows[:, 2:] == windows.new_tensor(size)).all(1)
            crops = _cut(memory[rows], windows[rows, :2] * self.patch_size, self._pixels(size))
            crops = crops * seen[rows, None, None, None]
            if self.resize == "input":
                side = (self.input_pixels, self.input_pixels)
                crops = F.interpolate(crops, side, mode="bicubic", antialias=True)
            logits[rows] = self.cnn.logits(crops)
        return logits, memory

    def _pixels(self, size: list[int]) -> Grid:
        return size[0] * self.patch_size, size[1] * self.patch_size


def crop_windows(revealed: Bool[Tensor, "batch rows cols"], least: int) -> Int[Tensor, "batch 4"]:
    """(first row, first col, rows, cols) in tokens of what is revealed, each side ``least`` long.

    A window that would leave the grid is shifted into it; it is at the origin without any token.
    """
    sides = []
    for lit in (revealed.any(2), revealed.any(1)):
        count, number = lit.shape[1], lit.int()
        first, last = number.argmax(1), count - 1 - number.flip(1).argmax(1)
        length = torch.where(lit.any(1), last - first + 1, 0).clamp(min=least)
        sides.append((torch.minimum(first, count - length), length))
    (row, rows), (col, cols) = sides
    return torch.stack((row, col, rows, cols), dim=1)


def _cut(
    images: Float[Tensor, "batch 3 height width"], corner: Int[Tensor, "batch 2"], size: Grid
) -> Float[Tensor, "batch 3 rows cols"]:
    row = corner[:, 0, None, None] + torch.arange(size[0], device=images.device)[:, None]
    col = corner[:, 1, None, None] + torch.arange(size[1], device=images.device)
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return images[batch, :, row, col].permute(0, 3, 1, 2)
