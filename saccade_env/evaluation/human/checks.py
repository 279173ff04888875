"""From the rows of any format to numbers: what is missing, malformed or comes twice."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from saccade_env.evaluation.human.formats import Raw
from saccade_env.evaluation.human.originals import FRAME

Missing = Literal["raise", "drop"]
KEYS = ["image", "subject", "order"]
BLANK = ["", "nan", "na", "none", "."]  # what eye trackers and tables write for nothing


def checked(
    raw: Raw, position: list[str], skip_first: int, missing: Missing
) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """Columns ``image``, ``subject`` (text), ``order`` and the position (float).

    Args:
        raw: Its rows are checked in this order: columns, positions that are missing, the rest.
        position: The two columns that hold it.
        skip_first: So many first rows of every scanpath are left out, blinks among them.
        missing: ``"drop"`` leaves out rows in which a number of the position is missing.

    Returns:
        The rows; how many were left out, by reason; and what to tell of it.

    Raises:
        ValueError: As :func:`read_fixations` says.
    """
    check_columns(raw.rows, position, raw.what)
    if raw.rows.empty:
        raise ValueError(f"{raw.what} has {'a header but ' * (raw.format == 'CSV')}no fixations")
    order = pd.to_numeric(raw.rows["order"], errors="coerce")
    rank = order.groupby([raw.rows["image"], raw.rows["subject"]]).rank(method="first")
    skipped = rank <= skip_first
    gone = raw.rows[position].map(_blank).any(axis=1) & ~skipped & (missing == "drop")
    frame = [name for name in FRAME if raw.original and name in raw.rows]
    kept = raw.rows.loc[~skipped & ~gone, KEYS + position + frame]
    counts = {"skipped": int(skipped.sum()), "missing": int(gone.sum())}
    if kept.empty:
        raise ValueError(f"{raw.what}: no fixations are left of {len(raw.rows)}; {counts}")
    notes = [f"{counts['missing']} fixations without a position; dropped"] * bool(gone.any())
    return _numbers(kept, position, raw.what), counts, notes


def _blank(value: object) -> bool:
    return str(value).lower() in BLANK


def check_columns(table: pd.DataFrame, position: list[str], what: str) -> None:
    """Refuse a table that lacks one."""
    needed, found = KEYS + position, [*map(str, table)]
    if missing := [name for name in needed if name not in found]:
        raise ValueError(
            f"{what}: missing column {', '.join(missing)} (needed: {', '.join(needed)}; "
            f"a position is row and col, or x and y); found: {', '.join(found)}"
        )


def _numbers(rows: pd.DataFrame, position: list[str], what: str) -> pd.DataFrame:
    table = rows.copy()
    for name in (*position, "order"):
        table[name] = pd.to_numeric(rows[name], errors="coerce").astype(float)
        if (wrong := ~np.isfinite(table[name])).any():
            got = rows[name][wrong.idxmax()]
            got = got if isinstance(got, str) else float(got)
            blink = name in position and _blank(got)
            remedy = "; “drop” skips blinks (--missing drop, missing='drop')" * blink
            raise ValueError(
                f"{what}, {wrong.idxmax()}: {name} must be a finite number; got "
                f"{got!r} ({wrong.sum()} such){remedy}"
            )
    for name in ("image", "subject"):
        if (empty := table[name] == "").any():
            raise ValueError(f"{what}, {empty.idxmax()}: {name} is empty")
    if (again := table.duplicated(KEYS)).any():
        image, subject, order = table.loc[again, KEYS].iloc[0]
        raise ValueError(
            f"{what}, {again.idxmax()}: image {image!r}, subject {subject!r}, order {order:g} "
            f"comes a second time ({again.sum()} such)"
        )
    return table
