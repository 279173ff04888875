"""Files and pictures inside a page, as data URIs: it then asks nobody for them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of a media type, such as ``"image/png"``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture_uri(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """A picture in a format of Pillow's, which takes the options."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return data_uri(file.getvalue(), f"image/{kind.lower()}")
