"""A sheet of pixels to draw on, over matplotlib's Agg.

Places are pixels (row, col), row 0 at the top; this is the only module that turns them into
matplotlib's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from saccade_env.drawing.style import INK, PAPER

Length = float | int  # spelt out, for run-time type checks tell them apart
Place = tuple[Length, Length]


class Canvas:
    """A white sheet of height × width pixels that takes (row, col)."""

    def __init__(self, height: int, width: int) -> None:
        # Not pyplot: it keeps figures globally and may open a window. No axes: they cost time.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        self._height = height
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
        self._canvas: Any = FigureCanvasAgg(self._figure)
        self._down = Affine2D().scale(1, -1).translate(0, height)

    def image(self, pixels: UInt8[np.ndarray, "height width 3"], top: int, left: int) -> None:
        """Paste pixels as they are."""
        below = self._height - top - pixels.shape[0]
        self._figure.figimage(pixels, left, below, origin="upper", zorder=-1)

    def line(self, points: Sequence[Place], colour: str, width: Length, **style: Any) -> None:
        """Join (row, col) points; width in pixels."""
        from matplotlib.lines import Line2D

        rows, cols = zip(*points, strict=True)
        line = Line2D(cols, rows, color=colour, linewidth=0.72 * width, **style)
        self._add(line)

    def box(self, top: Length, left: Length, height: Length, width: Length, **style: Any) -> None:
        """Draw a rectangle."""
        from matplotlib.patches import Rectangle

        self._add(Rectangle((left, top), width, height, **style))

    def disc(self, row: Length, col: Length, radius: Length, **style: Any) -> None:
        """Draw a filled circle."""
        from matplotlib.patches import Circle

        self._add(Circle((col, row), radius, **style))

    def text(self, row: Length, col: Length, words: str, size: Length = 9, **style: Any) -> None:
        """Write one line, vertically centred on ``row``; size in points, 100 to the inch."""
        from matplotlib.text import Text

        font = {"fontsize": size, "fontfamily": "DejaVu Sans", "parse_math": False}
        style = {"color": INK, "va": "center_baseline", **font, **style}
        self._add(Text(col, row, words, **style))

    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """Draw everything."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _add(self, artist: Any) -> None:
        artist.set(transform=self._down, zorder=0)  # what is added later lies on top
        self._figure.add_artist(artist)


def shorten(words: str, limit: int) -> str:
    """One line of at most ``limit`` characters."""
    words = " ".join(words.split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
