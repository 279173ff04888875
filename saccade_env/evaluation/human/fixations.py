"""Fixations of people, brought to token coordinates.

Positions are (row, col) in tokens and may lie between them: token (r, c) has its centre at (r, c),
so an image of rows × cols tokens reaches from -0.5 to rows - 0.5 and from -0.5 to cols - 0.5.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from saccade_env import geometry
from saccade_env.evaluation.human.table import KEYS, check_columns, read_header, read_table

Unit = Literal["token", "pixel", "relative"]
POSITION = {"token": ["row", "col"], "pixel": ["y", "x"], "relative": ["y", "x"]}


def read_fixations(
    path: str | Path,
    *,
    unit: Unit | None = None,
    image_size: tuple[int, int] | None = None,
    patch_size: int | None = None,
    outside: Literal["raise", "drop"] = "raise",
) -> pd.DataFrame:
    """Read fixations, one a line, from a comma-separated file with a header, in UTF-8.

    Columns ``image`` (the id that records give it), ``subject``, ``order`` (any increasing number)
    and a position; others are left out, and the order of lines does not matter.

    Args:
        path: The file.
        unit: ``"token"``: columns ``row`` and ``col``, see the module. ``"pixel"``: ``x`` and ``y``
            in pixels of the image as the classifier sees it, resized and cropped; 0 is the outer
            edge of the first pixel. ``"relative"``: ``x`` and ``y`` as shares of that image's width
            and height, 0 to 1. Default: ``"pixel"`` if there are ``x`` and ``y`` but no ``row``
            and ``col``, else ``"token"``.
        image_size: (height, width) in pixels of that image; needed for ``x`` and ``y``. Without it
            token coordinates are checked at the upper and left edge only.
        patch_size: Side of a token in pixels; given with ``image_size``.
        outside: What to do about fixations outside the image: ``"raise"``, or ``"drop"`` them with
            one warning.

    Returns:
        Columns ``image``, ``subject`` (text), ``order``, ``row``, ``col`` (float), sorted by the
        first three. ``attrs["outside"]`` is how many fixations were dropped.

    Raises:
        ValueError: The file has no fixations, lacks a column or is no such CSV; a value is missing
            or no finite number; an image, subject and order comes twice; a fixation is outside
            the image; or the options contradict each other. Messages give line numbers.
    """
    path = Path(path)
    grid = _grid(image_size, patch_size)
    unit = _checked_unit(unit or _unit_of(read_header(path)), grid)
    if outside not in ("raise", "drop"):
        raise ValueError(f"outside must be 'raise' or 'drop'; got {outside!r}")
    table = read_table(path, POSITION[unit])
    tokens = _to_tokens(table[POSITION[unit]].to_numpy(), unit, grid, patch_size)
    inside = _inside(tokens, grid)
    if not inside.all():
        _report_outside(table[POSITION[unit]], inside, path, outside)
    found = table[KEYS].assign(row=tokens[:, 0], col=tokens[:, 1])[inside]
    found = found.sort_values(KEYS, ignore_index=True)
    found.attrs["outside"] = int((~inside).sum())
    return found


def check_fixations(fixations: pd.DataFrame, grid: geometry.Grid) -> pd.DataFrame:
    """Fixations as :func:`read_fixations` returns them, sorted, fit for this token grid.

    Raises:
        ValueError: A column is missing, there are no rows, a position is not finite or outside
            the grid, or an image, subject and order comes twice.
    """
    check_columns(fixations, ["row", "col"], "fixations")
    if fixations.empty:
        raise ValueError("fixations are empty")
    inside = _inside(fixations[["row", "col"]].to_numpy(dtype=float), grid)
    if not inside.all():
        raise ValueError(
            f"{(~inside).sum()} of {len(fixations)} fixations are not on the grid of "
            f"{grid[0]}×{grid[1]} tokens"
        )
    names = {name: fixations[name].astype(str) for name in ("image", "subject")}
    fixations = fixations.assign(**names)
    if fixations.duplicated(KEYS).any():
        raise ValueError(f"fixations have rows of the same {', '.join(KEYS)}")
    return fixations.sort_values(KEYS)


def holding_tokens(fixations: pd.DataFrame, grid: geometry.Grid) -> Int[np.ndarray, "fixations 2"]:
    """(row, col) of the token that holds each fixation."""
    from_edge = torch.from_numpy(fixations[["row", "col"]].to_numpy(dtype=float) + 0.5)
    return geometry.pixel_to_row_col(from_edge, 1, grid).numpy()


def _grid(image_size: tuple[int, int] | None, patch_size: int | None) -> geometry.Grid | None:
    if image_size is not None and patch_size is not None:
        return geometry.grid_of(image_size, patch_size)
    if image_size is not None or patch_size is not None:
        raise ValueError(
            f"image_size and patch_size go together; got {image_size} and {patch_size}"
        )
    return None


def _unit_of(header: list[str]) -> Unit:
    tokens, pixels = ({*POSITION[unit]} <= {*header} for unit in ("token", "pixel"))
    return "pixel" if pixels and not tokens else "token"


def _checked_unit(unit: Unit, grid: geometry.Grid | None) -> Unit:
    if unit not in POSITION:
        raise ValueError(f"unit must be one of {', '.join(POSITION)}; got {unit!r}")
    if unit != "token" and grid is None:
        raise ValueError(f"x and y (unit {unit!r}) need image_size and patch_size; got neither")
    return unit


def _to_tokens(
    position: Float[np.ndarray, "fixations 2"],
    unit: str,
    grid: geometry.Grid | None,
    patch_size: int | None,
) -> Float[np.ndarray, "fixations 2"]:
    """(row, col) without rounding, so that ``geometry.row_col_to_pixel`` is the inverse."""
    if unit == "pixel" and patch_size is not None:
        return geometry.pixel_to_position(position, patch_size)
    if unit == "relative" and grid is not None:
        return geometry.share_to_position(position, grid)
    return position


def _inside(
    tokens: Float[np.ndarray, "fixations 2"], grid: geometry.Grid | None
) -> Bool[np.ndarray, " fixations"]:
    last = np.array(grid or (np.inf, np.inf)) - 0.5
    return cast(np.ndarray, ((tokens >= -0.5) & (tokens <= last)).all(axis=1))


def _report_outside(
    position: pd.DataFrame, inside: Bool[np.ndarray, " fixations"], path: Path, outside: str
) -> None:
    first = position[~inside].iloc[0]
    text = (
        f"{path}: {(~inside).sum()} of {len(inside)} fixations are outside the image, the first "
        f"in line {first.name}: {', '.join(f'{name} {value:g}' for name, value in first.items())}"
    )
    if not inside.any():
        raise ValueError(text)
    if outside == "raise":
        raise ValueError(f"{text}; “drop” leaves them out (--outside drop, outside='drop')")
    warnings.warn(f"{text}; dropped", stacklevel=3)
