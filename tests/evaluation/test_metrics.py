"""Metrics on cases worked out by hand, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_env.evaluation import metrics, report


def records(correct: dict[str, list[list[int]]], label: int = 3) -> pd.DataFrame:
    """One row per image, policy and saccade from right/wrong tables."""
    rows = [
        {
            "image": f"image {i}", "label": label, "policy": policy, "saccade": saccade + 1,
            "correct": bool(right), "certainty": 0.1 * saccade, "visible_share": 0.05 * saccade,
            "full_prediction": 3 if i == 0 else 4, "full_certainty": 0.5,
        }
        for policy, table in correct.items()
        for i, images in enumerate(table)
        for saccade, right in enumerate(images)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_case_worked_out_by_hand() -> None:
    table = metrics.per_saccade(
        records({"b": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "a": [[1, 1, 1], [1, 0, 0], [0, 1, 0]]})
    )
    assert list(table.index.get_level_values("policy").unique()) == ["b", "a"]
    assert table.loc["b", "accuracy"].tolist() == pytest.approx([0, 1 / 3, 1 / 3])
    assert table.loc["b", "cumulative_accuracy"].tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert table.loc["a", "accuracy"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert table.loc["a", "cumulative_accuracy"].tolist() == pytest.approx([2 / 3, 1, 1])
    assert table.loc["a", "certainty"].tolist() == pytest.approx([0, 0.1, 0.2])


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=1)
    ),
    st.randoms(),
)
def test_properties(right: list[list[int]], random: np.random.RandomState) -> None:
    frame = records({"p": right})
    table = metrics.per_saccade(frame).loc["p"]
    cumulative = table["cumulative_accuracy"]
    assert (cumulative.diff().dropna() >= -1e-12).all(), "it never falls"
    assert (cumulative >= table["accuracy"] - 1e-12).all()
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = metrics.per_saccade(frame.iloc[order]).loc["p"]
    pd.testing.assert_frame_equal(table, shuffled)


def test_without_labels_accuracy_is_unknown() -> None:
    frame = records({"p": [[0, 0]]}, label=-1)
    table = metrics.per_saccade(frame)
    assert table["accuracy"].isna().all()
    full = metrics.full_image(frame)
    assert math.isnan(full["accuracy"])
    assert full["labelled_images"] == 0
    summary = report.summarise(frame)
    assert summary["results"]["p"]["accuracy"] == [None, None]
    assert summary["full_image"]["accuracy"] is None


def test_full_image_counts_every_image_once() -> None:
    full = metrics.full_image(records({"a": [[0, 0], [1, 1]], "b": [[0, 0], [1, 1]]}))
    assert full == {"accuracy": 0.5, "certainty": 0.5, "images": 2, "labelled_images": 2}
