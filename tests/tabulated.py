"""Records from tables written by hand, and what holds for every table of means."""

from __future__ import annotations

import pandas as pd
from hypothesis import settings

FEW = 200  # bootstrap samples where the bounds do not matter much
few_examples = settings(max_examples=25, deadline=None)


def records(
    right: dict[str, list[list[int]]],
    paths: dict[str, list[list[tuple[int, int]]]] | None = None,
    labels: list[int] | None = None,
    full: list[int] | None = None,
) -> pd.DataFrame:
    """Records from right/wrong tables; the certainty of saccade t of image i is (i + t) / 100."""
    rows = [
        {
            "image": f"image {i:03d}", "label": labels[i] if labels else 3, "policy": policy,
            "saccade": t + 1, "row": paths[policy][i][t][0] if paths else t,
            "col": paths[policy][i][t][1] if paths else t, "correct": bool(value),
            "certainty": (i + t + 1) / 100, "visible_share": 0.1,
            "full_prediction": 3 if not full or full[i] else 4, "full_certainty": 0.5 + i / 100,
        }
        for policy, table in right.items()
        for i, image in enumerate(table)
        for t, value in enumerate(image)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def check_bounds(table: pd.DataFrame) -> None:
    """Every mean lies in its interval, whose bounds stand right after it."""
    found = [name for name in table if str(name).endswith("low")]
    assert found
    for low in found:
        mean = table.columns[table.columns.get_loc(low) - 1]
        high = table[low.replace("low", "high")]
        assert low in ("low", f"{mean}_low")
        known = table[mean].notna()
        assert (table[low].isna() == table[mean].isna()).all()
        assert (table[low] <= table[mean] + 1e-9)[known].all()
        assert (table[mean] <= high + 1e-9)[known].all()
