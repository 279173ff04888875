"""Many pictures on one sheet, each with two lines below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from saccade_env.drawing.canvas import Canvas, shorten

_SIDE, _GAP, _LINE, _COLUMNS = 128, 8, 14, 8  # pixels


class Cell(NamedTuple):
    """A picture and what stands below it."""

    pixels: UInt8[np.ndarray, "height width 3"]
    label: str
    remark: str = ""
    colour: str = "black"  # of the remark


def contact_sheet(cells: Sequence[Cell]) -> UInt8[np.ndarray, "height width 3"]:
    """Draw pictures in rows of eight, each squeezed to 128 pixels a side at most."""
    columns = min(_COLUMNS, len(cells))
    wide, high = _SIDE + _GAP, _SIDE + _GAP + 2 * _LINE + 4
    canvas = Canvas(math.ceil(len(cells) / columns) * high + _GAP, columns * wide + _GAP)
    for number, cell in enumerate(cells):
        top, left = number // columns * high + _GAP, number % columns * wide + _GAP
        picture = Image.fromarray(cell.pixels)
        picture.thumbnail((_SIDE, _SIDE))
        canvas.image(np.asarray(picture), top, left)
        for line, (words, colour) in enumerate(((cell.label, "black"), (cell.remark, cell.colour))):
            below = top + _SIDE + 4 + (line + 0.5) * _LINE
            canvas.text(below, left, shorten(words, 21), size=8, color=colour, va="center")
    return canvas.pixels()
