"""From a file to a picture of fixed size: :func:`decode`, then :class:`Preprocess`.

Sizes are (height, width). A box is Pillow's (left, top, right, bottom), in pixels of the source.
"""

from __future__ import annotations

import math
import operator
import os
import stat
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from saccade_env.errors import unknown_name
from saccade_env.files import printable
from saccade_env.images.base import BrokenImageError

# Named, because Pillow would otherwise also try formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF")

PreprocessMode = Literal["crop", "squash"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """Bring a picture to ``image_size`` with bicubic interpolation.

    Attributes:
        image_size: (height, width) of the result in pixels.
        resize: Length in pixels to which ``"crop"`` brings the shorter side before it cuts.
            ``None`` is 256 for 224 × 224 and in proportion for other sizes (256 / 224 of the
            shorter side of ``image_size``).
        mode: ``"crop"`` keeps the aspect: shorter side to ``resize``, then centre crop, as in
            DINO's linear evaluation. Where the resized picture would be smaller than the crop,
            it is enlarged until it covers it, so nothing is ever padded. ``"squash"`` ignores
            the aspect and keeps the whole picture.

    Raises:
        TypeError: A size is no whole number.
        ValueError: A size is not positive, ``resize`` is shorter than the shorter side of
            ``image_size`` or given for ``"squash"``, or the mode is unknown.
    """

    image_size: tuple[int, int] = (224, 224)
    resize: int | None = None
    mode: PreprocessMode = "crop"

    def __post_init__(self) -> None:
        if self.mode not in get_args(PreprocessMode):
            raise unknown_name("mode", str(self.mode), get_args(PreprocessMode))
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
        return f"Preprocess(image_size={size}, resize={side}, mode={self.mode!r})"

    @property
    def shorter_side(self) -> int:
        """Length in pixels to which ``"crop"`` brings the shorter side."""
        return round(min(self.image_size) * 256 / 224) if self.resize is None else self.resize

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        """Resize and cut an image of any mode; RGB channels first."""
        rgb = image if image.mode == "RGB" else to_rgb(image)
        whole = (0.0, 0.0, float(rgb.width), float(rgb.height))
        box = self.box((rgb.height, rgb.width)) if self.mode == "crop" else whole
        small = _resize(rgb, box, self.image_size)
        # numpy, since a torch operation in a decoding thread would start a team of threads there,
        # which spins on the processors that the networks want (`saccade-env bench`: feeding).
        return torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())

    def box(self, size: tuple[int, int]) -> Box:
        """Part of a source of ``size`` that ``"crop"`` keeps.

        It lies where ``torchvision``'s ``Resize(shorter_side)`` and ``CenterCrop(image_size)``
        put it, roundings included, wherever these need no padding.
        """
        resized = _resized(size, self.shorter_side, self.image_size)
        top, left = (round((r - c) / 2) for r, c in zip(resized, self.image_size, strict=True))
        y, x = size[0] / resized[0], size[1] / resized[1]
        bottom, right = (top + self.image_size[0]) * y, (left + self.image_size[1]) * x
        return left * x, top * y, min(right, size[1]), min(bottom, size[0])


def decode(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture file as RGB, upright as its EXIF orientation says.

    Raises:
        BrokenImageError: The file is missing, empty, truncated, no regular file, no picture, or
            has more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels (looked up before anything is
            decoded).
    """
    try:
        with _hush:
            return _decode(path)
    except Exception as error:  # Pillow's decoders let through whatever their parsers trip over
        raise BrokenImageError(f"cannot read {printable(path)}: {_reason(error)}") from error


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(height, width) in pixels of what :func:`decode` returns, from the file's header alone.

    Raises:
        BrokenImageError: The header cannot be read; the message names the file.
    """
    try:
        with _hush, Image.open(path, formats=FORMATS) as image:
            orientation = 1
            with suppress(Exception):  # a spoilt EXIF block does not spoil the picture
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            if orientation not in (5, 6, 7, 8):
                return image.height, image.width
            if image.format != "TIFF":
                return image.size
            image.load()  # some versions of Pillow turn a TIFF when it is opened, some only here
            return image.height, image.width
    except Exception as error:
        raise BrokenImageError(f"cannot read {printable(path)}: {_reason(error)}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, 8 bits a channel.

    Grey is repeated in all channels, 16 bits lose the lower 8, and what is transparent turns
    white.

    Raises:
        ValueError: Pixels are floats or need more than 16 bits, so their range is unknown.
    """
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_high_byte(image))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba)
    return image.convert("RGB")


class _Hush(threading.local):
    """A filter for what Pillow warns of, such as odd EXIF data, in the thread that decodes.

    ``warnings.catch_warnings`` would change the filters of other threads too.
    """

    decoding = False

    def __enter__(self) -> None:
        self.decoding = True
        entry = ("ignore", None, Warning, self, 0)
        if entry not in warnings.filters[:1]:  # or there are others before it by now
            with suppress(ValueError):
                warnings.filters.remove(entry)  # type: ignore[attr-defined]
            warnings.filters.insert(0, entry)  # type: ignore[attr-defined]

    def __exit__(self, *_: object) -> None:
        self.decoding = False

    def match(self, module: str) -> bool:
        """Whether a warning that comes from this module is ignored."""
        return self.decoding and module.startswith("PIL.")


_hush = _Hush()


def _decode(path: str | os.PathLike[str]) -> Image.Image:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # opening a FIFO would wait for somebody who writes
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "FIFO, socket or device"
        raise ValueError(f"expected a regular file; it is a {kind}")
    if not found.st_size:
        raise ValueError("the file is empty")
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        limit = Image.MAX_IMAGE_PIXELS  # Pillow itself only warns up to twice the limit
        if limit is not None and image.width * image.height > limit:
            raise ValueError(
                f"{image.height}×{image.width} pixels are more than PIL.Image.MAX_IMAGE_PIXELS = "
                f"{limit}; it may be a decompression bomb"
            )
        image.load()
        with suppress(Exception):  # a spoilt EXIF block does not spoil the picture
            ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a picture in a format known here ({', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _high_byte(image: Image.Image) -> UInt8[np.ndarray, "height width"]:
    values = np.asarray(image)
    if image.mode.startswith("F") or values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"values from {values.min()} to {values.max()} (mode {image.mode}) have no known "
            "range; expected 8 or 16 bits a channel"
        )
    return (values >> 8).astype(np.uint8)


def _resize(rgb: Image.Image, box: Box, image_size: tuple[int, int]) -> Image.Image:
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
    rows = rows.resize((width, count), Image.Resampling.BICUBIC, (left, 0, right, count))
    edges = (0, top - first, width, min(bottom - first, count))
    return rows.resize((width, height), Image.Resampling.BICUBIC, edges)


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
