"""From a file to an RGB picture: :func:`decode`. Sizes are (height, width) in pixels."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from saccade_env.files import printable
from saccade_env.images.base import BrokenImageError
from saccade_env.images.storage import open_file

# Named, because Pillow would otherwise also try formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF")
_ON_THEIR_SIDE = (5, 6, 7, 8)  # EXIF's orientations that swap the sides

Open = Callable[[], BinaryIO]


def decode(path: str | os.PathLike[str]) -> Image.Image:
    """Read a picture file as RGB, upright as its EXIF orientation says.

    Raises:
        BrokenImageError: The file is missing, empty, truncated, no regular file, no picture, or
            has more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels (looked up before anything is
            decoded).
    """
    return read_rgb(lambda: open_file(path), printable(path))


def read_rgb(open_it: Open, name: str, most: int | None = None) -> Image.Image:
    """What :func:`decode` does with a file, with anything that can be opened.

    ``most`` is a limit of pixels below Pillow's own.
    """
    with _opened(open_it, name, most) as image:
        image.load()
        with suppress(Exception):  # a spoilt EXIF block does not spoil the picture
            ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)


def read_size(open_it: Open, name: str) -> tuple[int, int]:
    """(height, width) in pixels of a picture as :func:`decode` gives it; decodes nothing.

    Raises:
        BrokenImageError: Its head cannot be read.
    """
    with _opened(open_it, name) as image:
        turned = False
        with suppress(Exception):  # a spoilt EXIF block does not spoil the picture
            turned = image.getexif().get(ExifTags.Base.Orientation) in _ON_THEIR_SIDE
        if turned and image.format != "TIFF":
            return image.size
        if turned:
            image.load()  # some versions of Pillow turn a TIFF when it is opened, some only here
        return image.height, image.width


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


@contextmanager
def _opened(open_it: Open, name: str, most: int | None = None) -> Iterator[Image.Image]:
    try:
        with _hush, open_it() as file:
            if not file.seek(0, io.SEEK_END):
                raise ValueError("the file is empty")
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                limit = Image.MAX_IMAGE_PIXELS  # Pillow itself only warns up to twice the limit
                called = "PIL.Image.MAX_IMAGE_PIXELS = " * (most is None)
                limit = limit if most is None else most
                if limit is not None and image.width * image.height > limit:
                    raise ValueError(
                        f"{image.height}×{image.width} pixels are more than {called}{limit}; "
                        "it may be a decompression bomb"
                    )
                yield image
    except Image.DecompressionBombError as error:
        limit = Image.MAX_IMAGE_PIXELS if most is None else most
        reason = f"it has more than {limit} pixels; it may be a decompression bomb"
        raise BrokenImageError(f"cannot read {name}: {reason}") from error
    except Exception as error:  # Pillow's decoders let through whatever their parsers trip over
        raise BrokenImageError(f"cannot read {name}: {_reason(error)}") from error


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
