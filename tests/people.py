"""Fixations of people for tests, in tokens."""

from __future__ import annotations

import pandas as pd
from hypothesis import strategies as st

GRID = (6, 8)
COLUMNS = ["image", "subject", "order", "row", "col"]

cells = st.tuples(st.integers(0, GRID[0] - 1), st.integers(0, GRID[1] - 1))
points = st.tuples(*(st.floats(-0.5, size - 0.5, width=32) for size in GRID))


def looks(**paths: list[tuple[float, float]]) -> pd.DataFrame:
    """Fixations from ``image_subject=[(row, col), …]``."""
    rows = [
        (*name.split("_"), float(order), *map(float, place))
        for name, path in paths.items()
        for order, place in enumerate(path)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
