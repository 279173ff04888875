"""Fixations of people, brought to token coordinates.

Positions are (row, col) in tokens and may lie between them: token (r, c) has its centre at (r, c),
so an image of rows × cols tokens reaches from -0.5 to rows - 0.5 and from -0.5 to cols - 0.5.
"""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from saccade_env import geometry

Unit = Literal["token", "pixel", "relative"]
Outside = Literal["raise", "drop"]
KEYS = ["image", "subject", "order"]
POSITION = {"token": ["row", "col"], "pixel": ["y", "x"], "relative": ["y", "x"]}


def read_fixations(
    path: str | Path,
    *,
    unit: Unit | None = None,
    image_size: tuple[int, int] | None = None,
    patch_size: int | None = None,
    outside: Outside = "raise",
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
        OSError: The file cannot be read.
        ValueError: The file has no fixations, lacks a column or is no such CSV; a value is missing
            or no finite number; an image, subject and order comes twice; a fixation is outside
            the image; the unit was not given and ``x`` and ``y`` may be shares; or the options
            contradict each other. Messages give line numbers.
    """
    path = Path(path)
    if outside not in ("raise", "drop"):
        raise ValueError(f"outside must be 'raise' or 'drop'; got {outside!r}")
    if unit is not None and unit not in POSITION:
        raise ValueError(f"unit must be one of {', '.join(POSITION)}; got {unit!r}")
    if (image_size is None) != (patch_size is None):
        raise ValueError(
            f"image_size and patch_size go together; got {image_size} and {patch_size}"
        )
    grid = geometry.grid_of(image_size, patch_size) if image_size and patch_size else None
    cells = _cells(path)
    pixels = {*POSITION["pixel"]} <= {*cells} and not {*POSITION["token"]} <= {*cells}
    columns = POSITION[unit or ("pixel" if pixels else "token")]
    if columns != POSITION["token"] and grid is None:
        raise ValueError(f"{path}: x and y need image_size and patch_size; got neither")
    table = _checked(cells, columns, path)
    tokens = places = table[columns].to_numpy()
    if pixels and unit is None and ((places >= 0) & (places <= 1)).all():
        raise ValueError(f"{path}: x and y are all 0 to 1; say whether they are relative or pixel")
    if unit == "relative" and grid is not None:
        tokens = geometry.share_to_position(places, grid)
    elif columns != POSITION["token"] and patch_size is not None:
        tokens = geometry.pixel_to_position(places, patch_size)
    inside = _inside(tokens, grid)
    if not inside.all():
        _report_outside(table[columns], inside, path, outside)
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
    _check_columns(fixations, POSITION["token"], "fixations")
    if fixations.empty:
        raise ValueError("fixations are empty")
    inside = _inside(fixations[["row", "col"]].to_numpy(dtype=float), grid)
    if not inside.all():
        raise ValueError(
            f"{(~inside).sum()} of {len(fixations)} fixations are not on the grid of "
            f"{grid[0]}×{grid[1]} tokens"
        )
    fixations = fixations.astype({"image": str, "subject": str})
    if fixations.duplicated(KEYS).any():
        raise ValueError(f"fixations have rows of the same {', '.join(KEYS)}")
    return fixations.sort_values(KEYS)


def holding_tokens(fixations: pd.DataFrame, grid: geometry.Grid) -> Int[np.ndarray, "fixations 2"]:
    """(row, col) of the token that holds each fixation."""
    from_edge = torch.from_numpy(fixations[["row", "col"]].to_numpy(dtype=float) + 0.5)
    return geometry.pixel_to_row_col(from_edge, 1, grid).numpy()


def _cells(path: Path) -> pd.DataFrame:
    """What stands in the file, as text by line number; blank lines do not count."""
    lines: dict[int, list[str]] = {}
    try:
        data = path.read_bytes()
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    except OSError as error:
        raise type(error)(f"cannot read fixations from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ValueError(f"{path}, line {line}: this is no CSV file in UTF-8: {error}") from error
    try:
        rows = filter(None, reader)
        header = [name.strip() for name in next(rows, [])]
        for cells in rows:
            lines[reader.line_num] = [cell.strip() for cell in cells]
            if len(cells) != len(header):
                found = f"{len(cells)} values for {len(header)} columns"
                raise ValueError(f"{path}, line {reader.line_num}: {found}")
    except csv.Error as error:
        line = reader.line_num
        raise ValueError(f"{path}, line {line}: this is no CSV file in UTF-8: {error}") from error
    if not header:
        raise ValueError(f"{path} is empty")
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: a column comes twice; found: {', '.join(header)}")
    return pd.DataFrame([*lines.values()], [*lines], header, dtype=str)


def _checked(cells: pd.DataFrame, position: list[str], path: Path) -> pd.DataFrame:
    """Columns ``image``, ``subject`` (text), ``order`` and the position (float)."""
    _check_columns(cells, position, path)
    if cells.empty:
        raise ValueError(f"{path} has a header but no fixations")
    table = cells[KEYS + position].copy()
    for name in ("order", *position):
        table[name] = pd.to_numeric(cells[name], errors="coerce").astype(float)
        if (wrong := ~np.isfinite(table[name])).any():
            raise ValueError(
                f"{path}, line {wrong.idxmax()}: {name} must be a finite number; got "
                f"{cells[name][wrong.idxmax()]!r} ({wrong.sum()} such lines)"
            )
    for name in ("image", "subject"):
        if (empty := table[name] == "").any():
            raise ValueError(f"{path}, line {empty.idxmax()}: {name} is empty")
    if (again := table.duplicated(KEYS)).any():
        image, subject, order = table.loc[again, KEYS].iloc[0]
        raise ValueError(
            f"{path}, line {again.idxmax()}: image {image!r}, subject {subject!r}, order {order:g} "
            f"comes a second time ({again.sum()} such lines)"
        )
    return table


def _check_columns(table: pd.DataFrame, position: list[str], source: str | Path) -> None:
    needed, found = KEYS + position, [*map(str, table)]
    if missing := [name for name in needed if name not in found]:
        raise ValueError(
            f"{source}: missing column {', '.join(missing)} (needed: {', '.join(needed)}; "
            f"a position is row and col, or x and y); found: {', '.join(found)}"
        )


def _inside(
    tokens: Float[np.ndarray, "fixations 2"], grid: geometry.Grid | None
) -> Bool[np.ndarray, " fixations"]:
    last = np.array(grid or (np.inf, np.inf)) - 0.5
    return np.asarray(((tokens >= -0.5) & (tokens <= last)).all(axis=1))


def _report_outside(
    position: pd.DataFrame, inside: Bool[np.ndarray, " fixations"], path: Path, outside: Outside
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
