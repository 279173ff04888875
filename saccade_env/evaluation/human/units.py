"""What the positions of fixations mean, and what they are in tokens."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from saccade_env import geometry
from saccade_env.evaluation.human.formats import Raw
from saccade_env.evaluation.human.originals import to_share
from saccade_env.images import ImageSource

Unit = Literal["token", "pixel", "relative", "original"]
TOKEN, XY = ["row", "col"], ["y", "x"]
SMALLER_SCREEN = (320, 512)  # to which positions on COCO's screen are brought in some releases


def unit_of(
    raw: Raw, unit: Unit | None, screen: tuple[int, int] | None
) -> tuple[Unit, tuple[int, int] | None]:
    """Unit of the positions, and the screen they are on, if any.

    Raises:
        ValueError: They contradict each other, or what would be assumed is likely wrong.
    """
    if screen and unit not in (None, "original"):
        raise ValueError(f"positions on a screen have unit 'original'; got {unit!r}")
    if unit is None and not (screen or raw.original):
        xy = {*XY} <= {*raw.rows} and not {*TOKEN} <= {*raw.rows}
        if xy and _within(raw, (1, 1)):
            raise ValueError(
                f"{raw.what}: x and y are all 0 to 1; say whether they are relative or pixel"
            )
        return "pixel" if xy else "token", None
    if unit not in (None, "original"):
        return unit, None
    if raw.screen and not screen and _within(raw, SMALLER_SCREEN):
        raise ValueError(
            f"{raw.what}: x and y are all within 512×320, as in releases made for a screen of that "
            "size; say which it is: screen=(320, 512) or (1050, 1680), --screen 512x320 or "
            "1680x1050"
        )
    return "original", screen or raw.screen


def to_tokens(
    rows: pd.DataFrame,
    places: Float[np.ndarray, "fixations 2"],
    unit: Unit,
    grid: geometry.Grid | None,
    patch_size: int | None,
    source: ImageSource | None,
    padded: bool,
) -> tuple[Float[np.ndarray, "fixations 2"], Bool[np.ndarray, " fixations"]]:
    """(row, col) in tokens, and which are known to be on a picture, be it on what is cut off.

    Raises:
        ValueError: See :func:`.originals.to_share`.
    """
    unknown = np.zeros(len(places), dtype=bool)
    if unit == "token" or grid is None or patch_size is None:
        return places, unknown  # all but tokens have a grid by now
    if unit == "pixel":
        return geometry.pixel_to_position(places, patch_size), unknown
    if unit == "relative" or source is None:
        return geometry.share_to_position(places, grid), unknown
    share, on_picture = to_share(rows, places, source, padded)
    # Rounded, so that what lies on the very edge does not fall off it for the arithmetic.
    return np.round(geometry.share_to_position(share, grid), 9), on_picture


def _within(raw: Raw, size: tuple[int, int]) -> bool:
    """Whether there are positions, and all numbers of them are from 0 to this (height, width)."""
    places = raw.rows[XY].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    places = places[np.isfinite(places).all(axis=1)]
    return bool(len(places) and ((places >= 0) & (places <= size)).all())
