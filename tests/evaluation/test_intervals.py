"""The bootstrap of tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabulated import FEW, check_bounds, few_examples

from saccade_env.evaluation import metrics


def test_columns_are_bootstrapped_as_one_value_an_image_is() -> None:
    generator = np.random.default_rng(0)
    values = pd.DataFrame(generator.normal(size=(80, 3)), columns=["one", "gaps", "none"])
    values["none"] = np.nan
    values.loc[values.index[:30], "gaps"] = np.nan
    table = metrics.bootstrap_columns(values, 10_000)
    assert table.columns.tolist() == ["mean", "low", "high"]
    for column in ("one", "gaps"):
        expected = metrics.interval(values[column], 10_000)
        assert table.loc[column].tolist() == pytest.approx(list(expected), abs=0.015)
    assert table.loc["none"].isna().all()
    pd.testing.assert_frame_equal(table, metrics.bootstrap_columns(values, 10_000))
    assert not table.equals(metrics.bootstrap_columns(values, 10_000, seed=1))
    twins = metrics.bootstrap_columns(pd.DataFrame({"a": values["one"], "b": values["one"]}), FEW)
    assert twins.loc["a"].tolist() == twins.loc["b"].tolist(), "the same resampled images"


def test_samples_are_the_same_whether_drawn_at_once_or_not(monkeypatch: Any) -> None:
    values = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)))
    expected = metrics.bootstrap_columns(values, 100)
    monkeypatch.setattr("saccade_env.evaluation.metrics.intervals._DRAWS_AT_ONCE", 170)
    pd.testing.assert_frame_equal(metrics.bootstrap_columns(values, 100), expected)


@few_examples
@given(
    st.lists(
        st.tuples(*[st.one_of(st.floats(-100, 100), st.just(math.nan))] * 2),
        min_size=1,
        max_size=20,
    )
)
def test_an_interval_holds_the_mean(values: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(values, columns=["a", "b"])
    table = metrics.bootstrap_columns(frame, FEW)
    check_bounds(table)
    np.testing.assert_allclose(table["mean"], frame.mean())
    known = frame.dropna(how="all")
    pd.testing.assert_frame_equal(table, metrics.bootstrap_columns(known, FEW))
