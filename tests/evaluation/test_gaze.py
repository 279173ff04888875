"""Where policies look, on cases worked out by hand, and by properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabulated import FEW, check_bounds, few_examples, records

from saccade_env import policies
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, metrics

GRID = (14, 14)
cells = st.tuples(st.integers(0, 13), st.integers(0, 13))
scanpaths = st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8)


PATHS = {
    "p": [[(0, 0), (0, 1), (3, 4)], [(5, 5), (5, 5), (-1, -1)]],
    "a": [[(0, 0), (0, 3), (3, 4)], [(5, 5), (6, 6), (6, 6)]],
}


def test_unique_area_worked_out_by_hand() -> None:
    frame = records({p: [[0] * 3] * 2 for p in PATHS}, PATHS, labels=[-1, -1])
    table = metrics.unique_area(frame, (10, 10), 3, FEW)
    assert table.index.names == ["policy", "saccade"]
    # The first window of one image is cut to 4 cells, and its second of 6 holds 2 new ones.
    assert table.loc["p", "visible_share"].tolist() == pytest.approx([0.065, 0.075, 0.12])
    assert table.loc["p", "new_share"].tolist() == pytest.approx([1, (2 / 6 + 0) / 2, 1])
    check_bounds(table)
    nowhere = metrics.unique_area(frame.assign(row=-1, col=-1), (10, 10), 3, FEW)
    assert (nowhere["visible_share"] == 0).all()
    assert nowhere["new_share"].isna().all()
    with pytest.raises(ValueError, match=r"fixations reach \(6, 6\) .*; got a grid of 6×9"):
        metrics.unique_area(frame, (6, 9), 3)
    with pytest.raises(ValueError, match="fovea must be odd and ≥ 1; got 4"):
        metrics.unique_area(frame, (10, 10), 4)


@pytest.mark.parametrize("fovea", [3, 5])
def test_unique_area_is_the_visible_share_of_the_run(fovea: int, sample: Any, linear: Any) -> None:
    chosen = [policies.create("random"), policies.create("centre")]
    frame = evaluate(chosen, sample, linear, SaccadeConfig(fovea=fovea), progress=False).records
    table = metrics.unique_area(frame, linear.grid, fovea, FEW)
    expected = metrics.per_saccade(frame)["visible_share"]
    assert table.index.tolist() == expected.index.tolist()
    assert table["visible_share"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)


def test_agreement_worked_out_by_hand() -> None:
    frame = records({p: [[0] * 3] * 2 for p in PATHS}, PATHS)
    table = metrics.fixation_agreement(frame, "p", "a", grid=(10, 10), fovea=1, samples=FEW)
    assert table.index.tolist() == [1, 2, 3]
    assert table["agreement"].tolist() == [1, 0, 1], "who has stopped does not count"
    assert table["distance"].tolist() == pytest.approx([0, (2 + math.sqrt(2)) / 2, 0])
    assert table["iou"].tolist() == pytest.approx([1, (1 / 3 + 1 / 2) / 2, (2 / 4 + 1 / 2) / 2])
    check_bounds(table)
    near = metrics.fixation_agreement(frame, "p", "a", within=1, samples=FEW)
    assert near["agreement"].tolist() == [1, 0.5, 1]
    assert "iou" not in near


def test_wrong_comparisons_are_refused() -> None:
    frame = records({p: [[0] * 3] * 2 for p in PATHS}, PATHS)
    short = frame[(frame["policy"] == "p") | (frame["image"] == "image 000")]
    hasty = frame[(frame["policy"] == "p") | (frame["saccade"] < 3)]
    for wrong, keywords, message in (
        (frame, {"within": -1}, "within must be ≥ 0 tokens; got -1"),
        (frame, {"fovea": 3}, "give both grid and fovea or neither; got None and 3"),
        (short, {}, "'p' and 'a' were evaluated on different images"),
        (hasty, {}, "'p' and 'a' were evaluated on different saccades"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.fixation_agreement(wrong, "p", "a", **keywords)


def test_distance_from_the_first_fixation() -> None:
    frame = records({p: [[0] * 3] * 2 for p in PATHS}, PATHS)
    table = metrics.distance_from_first(frame, FEW)
    assert table.loc["p", "distance"].tolist() == pytest.approx([0, 0.5, 5])
    assert table.loc["a", "distance"].tolist() == pytest.approx(
        [0, (3 + math.sqrt(2)) / 2, (5 + math.sqrt(2)) / 2]
    )
    check_bounds(table)


@pytest.mark.slow
@few_examples
@given(scanpaths, scanpaths, st.sampled_from([1, 3, 5]), st.integers(0, 3))
def test_properties_of_scanpaths(own: Any, other: Any, fovea: int, within: int) -> None:
    images = min(len(own), len(other))
    paths = {"p": own[:images], "a": other[:images]}
    frame = records({p: [[0] * 3] * images for p in paths}, paths)
    area, distance = (
        metrics.unique_area(frame, GRID, fovea, FEW),
        metrics.distance_from_first(frame, FEW),
    )
    alike = metrics.fixation_agreement(frame, "p", "p", 0, GRID, fovea, FEW)
    between = metrics.fixation_agreement(frame, "p", "a", within, GRID, fovea, FEW)
    for table in (area, distance, alike, between):
        check_bounds(table)
    assert (alike[["agreement", "iou"]] == 1).all(axis=None)
    assert (alike["distance"] == 0).all()
    assert (distance.xs(1, level="saccade") == 0).all(axis=None)
    assert (area.xs(1, level="saccade")["new_share"] == 1).all()
    assert (area["visible_share"].groupby("policy").diff().dropna() >= -1e-12).all()
    pd.testing.assert_frame_equal(
        between, metrics.fixation_agreement(frame, "a", "p", within, GRID, fovea, FEW)
    )
    strict = metrics.fixation_agreement(frame, "p", "a", samples=FEW)
    assert (strict["agreement"] <= between["agreement"]).all()
    grid = np.zeros((*GRID, images, 3), dtype=bool)
    reach = fovea // 2
    for image, path in enumerate(paths["p"]):
        for saccade, (row, col) in enumerate(path):
            rows, cols = (
                slice(max(row - reach, 0), row + reach + 1),
                slice(max(col - reach, 0), col + reach + 1),
            )
            grid[rows, cols, image, saccade:] = True
    expected = grid.mean(axis=(0, 1, 2))
    assert area.loc["p", "visible_share"].to_numpy() == pytest.approx(expected)
