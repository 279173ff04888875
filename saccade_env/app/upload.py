"""A visitor's picture, from what a browser sent to pixels: in memory alone, limits first."""

from __future__ import annotations

import base64
import io
from typing import Any

from saccade_env.images import BrokenImageError, Picture, Preprocess
from saccade_env.images.decoding import read_rgb

LARGEST = 12_000_000  # bytes of a file
MOST_PIXELS = 50_000_000  # of what it would be decoded to; telephones have up to 50 million
MOST_SCANS = 64  # of a JPEG; each costs the time of a picture, however few bytes it has
_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"
NAME = "upload"  # a visitor's own name for a file is neither shown to others nor kept


class RefusedError(ValueError):
    """An upload that is not taken; the message tells the visitor why."""


def check_upload(sent: Any) -> bytes:
    """The bytes of a file that came as a data URI, ``"data:…;base64,…"``, from anybody.

    Raises:
        RefusedError: There is none, or it is too large.
    """
    head, _, body = sent.partition(",") if isinstance(sent, str) else ("", "", "")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise RefusedError("No picture arrived. Please choose a file again.")
    if len(body) * 3 // 4 > LARGEST:
        raise RefusedError(f"The file is larger than {LARGEST // 10**6} MB. Please take another.")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:  # binascii.Error is one
        raise RefusedError("The file arrived damaged. Please choose it again.") from error


def read_upload(data: bytes, preprocess: Preprocess) -> Picture:
    """Decode a visitor's picture, upright; its EXIF data are dropped.

    Args:
        data: Of the file.
        preprocess: Brings it to the classifier's size.

    Raises:
        RefusedError: It has too many pixels (looked up before it is decoded), or is no picture.
    """
    if data.startswith(_JPEG) and data.count(_SCAN) > MOST_SCANS:
        raise RefusedError(f"This picture cannot be taken: it has more than {MOST_SCANS} scans.")
    try:
        pixels = preprocess(read_rgb(lambda: io.BytesIO(data), NAME, MOST_PIXELS))
    except BrokenImageError as error:
        reason = str(error).removeprefix(f"cannot read {NAME}: ")
        raise RefusedError(f"This picture cannot be taken: {reason.rstrip('.')}.") from error
    return Picture(pixels, None, NAME)
