"""From an RGB picture to one of fixed size: :class:`Preprocess`.

Sizes are (height, width). A box is Pillow's (left, top, right, bottom), in pixels of the source.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from saccade_env.errors import unknown_name
from saccade_env.images.decoding import to_rgb

PreprocessMode = Literal["crop", "squash"]
Interpolation = Literal["bicubic", "bilinear"]
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """Bring a picture to ``image_size``.

    Attributes:
        image_size: (height, width) of the result in pixels.
        resize: Length in pixels to which ``"crop"`` brings the shorter side before it cuts.
            ``None`` is 256 for 224 × 224 and in proportion for other sizes (256 / 224 of the
            shorter side of ``image_size``).
        mode: ``"crop"`` keeps the aspect: shorter side to ``resize``, then centre crop, as in
            DINO's linear evaluation. Where the resized picture would be smaller than the crop,
            it is enlarged until it covers it, so nothing is ever padded. ``"squash"`` ignores
            the aspect and keeps the whole picture.
        interpolation: Pillow's, antialiased; ``"bicubic"`` as in DINO's linear evaluation.

    Raises:
        TypeError: A size is no whole number.
        ValueError: A size is not positive, ``resize`` is shorter than the shorter side of
            ``image_size`` or given for ``"squash"``, or the mode is unknown.
    """

    image_size: tuple[int, int] = (224, 224)
    resize: int | None = None
    mode: PreprocessMode = "crop"
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        if self.mode not in get_args(PreprocessMode):
            raise unknown_name("mode", str(self.mode), get_args(PreprocessMode))
        if self.interpolation not in _FILTERS:
            raise unknown_name("interpolation", str(self.interpolation), _FILTERS)
        try:
            height, width = (operator.index(side) for side in self.image_size)
            resize = None if self.resize is None else operator.index(self.resize)
        except (TypeError, ValueError) as error:
            raise TypeError(
                "image_size must be two whole numbers, and resize one or None; "
                f"got {self.image_size!r} and {self.resize!r}"
            ) from error
        if min(height, width) < 1:
            raise ValueError(f"image_size must be positive; got {(height, width)}")
        if resize is not None and (self.mode != "crop" or resize < min(height, width)):
            raise ValueError(
                "resize is the length of the shorter side before the crop, so it needs mode='crop' "
                f"and at least {min(height, width)} for image_size={(height, width)}; "
                f"got {resize} with mode={self.mode!r}"
            )
        object.__setattr__(self, "image_size", (height, width))
        object.__setattr__(self, "resize", resize)

    def __repr__(self) -> str:  # goes into result files: a number says more there than None
        size, side = self.image_size, self.shorter_side
        usual = self.interpolation == "bicubic"
        other = "" if usual else f", interpolation={self.interpolation!r}"
        return f"Preprocess(image_size={size}, resize={side}, mode={self.mode!r}{other})"

    @property
    def shorter_side(self) -> int:
        """Length in pixels to which ``"crop"`` brings the shorter side."""
        return round(min(self.image_size) * 256 / 224) if self.resize is None else self.resize

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        """Resize and cut an image of any mode; RGB channels first."""
        rgb = image if image.mode == "RGB" else to_rgb(image)
        small = _resize(
            rgb, self.box((rgb.height, rgb.width)), self.image_size, _FILTERS[self.interpolation]
        )
        # numpy, since a torch operation in a decoding thread would start a team of threads there,
        # which spins on the processors that the networks want (`saccade-env bench`: feeding).
        return torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())

    def box(self, size: tuple[int, int]) -> Box:
        """Part of a source of ``size`` that is kept: for ``"squash"`` the whole.

        For ``"crop"`` it lies where ``torchvision``'s ``Resize(shorter_side)`` and
        ``CenterCrop(image_size)`` put it, roundings included, wherever these need no padding.
        """
        if self.mode == "squash":
            return 0.0, 0.0, float(size[1]), float(size[0])
        resized = _resized(size, self.shorter_side, self.image_size)
        top, left = (round((r - c) / 2) for r, c in zip(resized, self.image_size, strict=True))
        y, x = size[0] / resized[0], size[1] / resized[1]
        bottom, right = (top + self.image_size[0]) * y, (left + self.image_size[1]) * x
        return left * x, top * y, min(right, size[1]), min(bottom, size[0])


def _resize(
    rgb: Image.Image, box: Box, image_size: tuple[int, int], how: Image.Resampling
) -> Image.Image:
    """Resize the box alone, first along the rows, then along the columns.

    The whole picture is never resized: 60000 × 1 pixels would become four thousand million.
    Pillow's own order of the two passes depends on its version and, from 13 on, on the shape of
    the picture around the box; as it rounds in between, that would be seen in the result.
    """
    left, top, right, bottom = box
    height, width = image_size
    reach = 2 * max(1.0, (bottom - top) / height) + 1  # of the bicubic filter, in source pixels
    first = max(0, math.floor(top - reach))
    count = min(rgb.height, math.ceil(bottom + reach)) - first
    rows = rgb.crop((0, first, rgb.width, first + count))
    rows = rows.resize((width, count), how, (left, 0, right, count))
    edges = (0, top - first, width, min(bottom - first, count))
    return rows.resize((width, height), how, edges)


def _resized(
    size: tuple[int, int], shorter_side: int, image_size: tuple[int, int]
) -> tuple[int, int]:
    """Size of the whole picture after the resize, rounded as ``torchvision`` rounds it."""
    longer_side = int(shorter_side * max(size) / min(size))
    tall = size[0] > size[1]
    height, width = (longer_side, shorter_side) if tall else (shorter_side, longer_side)
    enlarge = max(1.0, image_size[0] / height, image_size[1] / width)
    return (
        max(image_size[0], round(height * enlarge)),
        max(image_size[1], round(width * enlarge)),
    )
