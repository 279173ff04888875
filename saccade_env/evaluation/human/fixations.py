"""Fixations of people, brought to token coordinates.

Positions are (row, col) in tokens and may lie between them: token (r, c) has its centre at (r, c),
so an image of rows × cols tokens reaches from -0.5 to rows - 0.5 and from -0.5 to cols - 0.5.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from saccade_env import geometry
from saccade_env.evaluation.human.checks import KEYS, Missing, check_columns, checked
from saccade_env.evaluation.human.formats import read_raw
from saccade_env.evaluation.human.originals import FRAME, in_source
from saccade_env.evaluation.human.units import TOKEN, XY, Unit, to_tokens, unit_of
from saccade_env.images import ImageSource

Outside = Literal["raise", "drop", "keep"]


def read_fixations(
    fixations: str | Path | Any,
    *,
    unit: Unit | None = None,
    image_size: tuple[int, int] | None = None,
    patch_size: int | None = None,
    source: ImageSource | None = None,
    stimuli: str | Path | Any = None,
    screen: tuple[int, int] | None = None,
    task: str | None = None,
    skip_first: int = 0,
    missing: Missing = "raise",
    outside: Outside = "raise",
) -> pd.DataFrame:
    """Read fixations of people and bring them to tokens.

    Which format it is shows in how the file begins: JSON is COCO-FreeView's or COCO-Search18's,
    HDF5 is pysaliency's, all else is a comma-separated file in UTF-8 with a header, one fixation
    a line. That has columns ``image`` (the id that records give it), ``subject``,
    ``order`` (any increasing number) and a position; others are left out, and the order of lines
    does not matter.

    Args:
        fixations: The file, or scanpaths of pysaliency (``FixationTrains``,
            ``ScanpathFixations``).
        unit: ``"token"``: columns ``row`` and ``col``, see the module. ``"pixel"``: ``x`` and ``y``
            in pixels of the image as the classifier sees it, resized and cropped; 0 is the outer
            edge of the first pixel. ``"relative"``: ``x`` and ``y`` as shares of that image's width
            and height, 0 to 1. ``"original"``: ``x`` and ``y`` in pixels of the file, upright as
            its EXIF data says, before anything is resized or cropped. Default: ``"original"``
            with a screen and for JSON and pysaliency; else ``"pixel"`` if there are ``x`` and
            ``y`` but no ``row`` and ``col``, else ``"token"``.
        image_size: (height, width) in pixels of the image as the classifier sees it, by default
            the source's; needed for ``x`` and ``y``. Without it token coordinates are checked at
            the upper and left edge only.
        patch_size: Side of a token in pixels; given with ``image_size`` or a source.
        source: The pictures. Images are looked up in it, see ``originals.py``; what it
            does not have is dropped. Needed for ``"original"``, for which it must have a
            ``preprocess`` and a method ``original_size(i)``, the (height, width) of a file.
        stimuli: What pysaliency's scanpaths are on: its file or its object.
        screen: (height, width) in pixels of a screen that showed each picture as large as fits,
            aspect kept, in the middle; ``x`` and ``y`` are in its pixels. Default: 1050 × 1680
            for COCO's JSON; none otherwise.
        task: Take only this task of COCO-Search18.
        skip_first: Leave out so many first fixations of every scanpath, such as the one that an
            experiment imposes: 1 for COCO-FreeView and COCO-Search18.
        missing: What to do about positions that are empty or no number (blinks): ``"raise"``, or
            ``"drop"`` them with a warning.
        outside: What to do about fixations outside the image, such as on what the crop cuts off:
            ``"raise"``; ``"drop"`` them with a warning; or ``"keep"`` them where they are, off the
            grid of tokens, with a warning. To compare those, say so there too.

    Returns:
        Columns ``image``, ``subject`` (text), ``order``, ``row``, ``col`` (float), sorted by the
        first three. ``attrs`` say what was read (``format``, ``unit``, ``screen``) and count the
        fixations left out: ``skipped`` (the first ones), ``missing``, ``unknown`` (on images that
        the source does not have) and ``outside`` (or kept), ``cropped`` of them on the picture.

    Raises:
        OSError: A file cannot be read.
        ImportError: It is HDF5, and h5py is not installed.
        ValueError: The file has no fixations, lacks a column or is malformed; a value is missing
            or no finite number; an image, subject and order comes twice; an image's name may mean
            several of the source; a fixation is outside the image; the unit was not given and
            ``x`` and ``y`` may be shares, or the screen and they may be of another; or the options
            contradict each other. Messages say where in the file.
    """
    _check_options(unit=unit, missing=missing, outside=outside)
    _check_numbers(screen, skip_first)
    grid = _grid(image_size, patch_size, source)
    raw = read_raw(fixations, stimuli, task)
    known, screen = unit_of(raw, unit, screen)
    if known == "original" and source is None:
        raise ValueError(f"{raw.what}: pixels of the original files need source, the pictures")
    if known != "token" and grid is None:
        raise ValueError(f"{raw.what}: x and y need image_size and patch_size; got neither")
    position = TOKEN if known == "token" else XY
    rows, counts, notes = checked(raw, position, skip_first, missing)
    if source is not None:
        rows, counts["unknown"] = in_source(rows, source, raw.what, notes)
    if screen is not None:
        rows[FRAME] = screen
    places, padded = rows[position], screen is not None
    tokens, on_picture = to_tokens(rows, places.to_numpy(), known, grid, patch_size, source, padded)
    inside = _inside(tokens, grid)
    counts |= {"outside": int((~inside).sum()), "cropped": int((~inside & on_picture).sum())}
    if counts["outside"]:
        guess = unit is None and known == "pixel"
        notes.append(_outside(places, inside, counts["cropped"], outside, raw.what, guess))
    if notes:
        warnings.warn(f"{raw.what}: {'; '.join(notes)}", stacklevel=2)
    found = rows[KEYS].assign(row=tokens[:, 0], col=tokens[:, 1])[inside | (outside == "keep")]
    found = found.sort_values(KEYS, ignore_index=True)
    found.attrs.update({"format": raw.format, "unit": known, "screen": screen})
    found.attrs.update(counts)
    return found


def check_fixations(
    fixations: pd.DataFrame, grid: geometry.Grid, outside: Literal["raise", "keep"] = "raise"
) -> pd.DataFrame:
    """Fixations as :func:`read_fixations` returns them, sorted, fit for this token grid.

    Raises:
        ValueError: A column is missing, there are no rows, a position is not finite or outside
            the grid (which ``"keep"`` lets pass), or an image, subject and order comes twice.
    """
    check_columns(fixations, TOKEN, "fixations")
    if fixations.empty:
        raise ValueError("fixations are empty")
    tokens = fixations[TOKEN].to_numpy(dtype=float)
    fit = np.isfinite(tokens).all(axis=1) if outside == "keep" else _inside(tokens, grid)
    if not fit.all():
        raise ValueError(
            f"{(~fit).sum()} of {len(fixations)} fixations are not on the grid of "
            f"{grid[0]}×{grid[1]} tokens"
        )
    fixations = fixations.astype({"image": str, "subject": str})
    if fixations.duplicated(KEYS).any():
        raise ValueError(f"fixations have rows of the same {', '.join(KEYS)}")
    return fixations.sort_values(KEYS)


def on_grid(fixations: pd.DataFrame, grid: geometry.Grid) -> pd.DataFrame:
    """Those inside the image."""
    return fixations[_inside(fixations[TOKEN].to_numpy(dtype=float), grid)]


def holding_tokens(fixations: pd.DataFrame, grid: geometry.Grid) -> Int[np.ndarray, "fixations 2"]:
    """(row, col) of the token that holds each fixation."""
    from_edge = torch.from_numpy(fixations[TOKEN].to_numpy(dtype=float) + 0.5)
    return geometry.pixel_to_row_col(from_edge, 1, grid).numpy()


def _check_options(**options: str | None) -> None:
    for name, allowed in (("unit", Unit), ("missing", Missing), ("outside", Outside)):
        if (got := options[name]) not in get_args(allowed) and (name, got) != ("unit", None):
            raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}; got {got!r}")


def _inside(
    tokens: Float[np.ndarray, "fixations 2"], grid: geometry.Grid | None
) -> Bool[np.ndarray, " fixations"]:
    last = np.array(grid or (np.inf, np.inf)) - 0.5
    return np.asarray(((tokens >= -0.5) & (tokens <= last)).all(axis=1))


def _outside(
    places: pd.DataFrame,
    inside: Bool[np.ndarray, " fixations"],
    cropped: int,
    outside: Outside,
    what: str,
    guess: bool,
) -> str:
    """What to tell of fixations outside the image; an error unless they are expected."""
    first = places[~inside].iloc[0]
    where = ", ".join(f"{name} {value:g}" for name, value in first.items())
    cut = f", {cropped} of them on what the crop cuts off" * bool(cropped)
    text = (
        f"{(~inside).sum()} of {len(inside)} fixations are outside the image{cut}, the first in "
        f"{first.name}: {where}"
    )
    if outside != "raise" and inside.any():
        return f"{text}; {'dropped' if outside == 'drop' else 'kept'}"
    if guess:
        text += "; if x and y are in pixels of the files, say so: unit='original', --unit original"
    if inside.any():
        text += "; “drop” leaves them out, “keep” is for scanpaths (outside=, --outside)"
    raise ValueError(f"{what}: {text}")


def _check_numbers(screen: tuple[int, int] | None, skip_first: int) -> None:
    if screen is not None and not (len(screen) == 2 and min(screen) > 0):
        raise ValueError(f"screen must be (height, width) in pixels; got {screen}")
    if skip_first < 0:
        raise ValueError(f"skip_first must be a number of fixations from 0; got {skip_first}")


def _grid(
    image_size: tuple[int, int] | None, patch_size: int | None, source: ImageSource | None
) -> geometry.Grid | None:
    if source is not None and patch_size is not None:
        image_size = image_size or source.image_size
    if (image_size is None) != (patch_size is None):
        raise ValueError(
            f"image_size and patch_size go together; got {image_size} and {patch_size}"
        )
    return geometry.grid_of(image_size, patch_size) if image_size and patch_size else None
