"""Tables as text: cells whose decimals line up, and their CSV files as data URIs."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ROWS_SHOWN = 200  # of a table; its CSV file has them all
MISSING = "–"


def csv(frame: pd.DataFrame, path: Path | None = None) -> str:
    """The file, or the frame if there is none, as a data URI."""
    made = frame.to_csv(index=not _unnamed_rows(frame)).encode()
    content = path.read_bytes() if path else made
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}"


def grid(frame: pd.DataFrame) -> dict[str, Any]:
    """Heads of columns, rows of cells, how many lead a row, and which columns are numbers."""
    frame = frame.head(ROWS_SHOWN)
    levels = 0 if _unnamed_rows(frame) else frame.index.nlevels
    columns = [list(frame.index.get_level_values(level)) for level in range(levels)]
    columns += [list(frame.iloc[:, place]) for place in range(frame.shape[1])]
    columns = [[v.tolist() if hasattr(v, "tolist") else v for v in column] for column in columns]
    return {
        "heads": [*(str(n or "row") for n in frame.index.names[:levels]), *map(_head, frame)],
        "rows": list(zip(*map(cells, columns), strict=True)),
        "leading": max(levels, 1),
        "numeric": [all(_is_number(v) or _is_missing(v) for v in column) for column in columns],
    }


def _unnamed_rows(frame: pd.DataFrame) -> bool:
    return frame.index.equals(pd.RangeIndex(len(frame))) and frame.index.name is None


def _head(name: Any) -> str:
    return " · ".join(str(part) for part in name if part) if isinstance(name, tuple) else str(name)


def cells(values: Sequence[Any]) -> list[str]:
    """Numbers with the same decimals, MISSING for what is missing, others as they are."""
    decimals = _decimals(values)
    return [_cell(value, decimals) for value in values]


def _decimals(values: Iterable[Any]) -> int:
    """As many for a whole column, so that its numbers line up."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v)]
    if all(size.is_integer() for size in sizes):
        return 0
    return next((places for places, least in enumerate((1000, 10, 1)) if max(sizes) >= least), 3)


def _cell(value: Any, decimals: int) -> str:
    if _is_missing(value):
        return MISSING
    if not _is_number(value):
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    text = f"{value:,.{decimals if isinstance(value, float) else 0}f}"
    if value and not float(text.replace(",", "")):
        text = f"{value:.0e}"  # small is not zero
    text = text if abs(value) >= 10_000 else text.replace(",", "")
    return text.replace("-", "−")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
