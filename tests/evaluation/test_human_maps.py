"""Saliency maps beside the fixations of people."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from people import GRID, cells, looks
from scipy import stats

from saccade_env.evaluation.human import compare_maps, metrics

tokens = st.lists(cells, min_size=1, max_size=30).map(np.array)
maps = arrays(np.float64, GRID, elements=st.integers(-50, 50).map(float))


def test_maps_by_hand() -> None:
    saliency = np.array([[0.0, 1.0], [2.0, 3.0]])
    at = np.array([[1, 1], [1, 0], [1, 1]])
    deviation = math.sqrt(1.25)
    assert metrics.nss(saliency, at) == pytest.approx((1.5 + 0.5 + 1.5) / 3 / deviation)
    assert metrics.auc(saliency, at) == 1
    assert metrics.auc(-saliency, at) == 0
    assert metrics.auc(np.array([[2.0, 1.0], [2.0, 3.0]]), at) == pytest.approx((2 + 1.5 + 2) / 6)
    density = np.array([[0.0, 0.0], [0.5, 0.5]])
    divergence = 0.5 * math.log(0.5 / (2 / 6)) + 0.5 * math.log(0.5 / (3 / 6))
    assert metrics.kl_divergence(saliency, density) == pytest.approx(divergence)
    assert metrics.kl_divergence(saliency - 1, density) == pytest.approx(divergence)
    assert metrics.kl_divergence(-density, density) == pytest.approx(
        -math.log(2.22e-16 * 2), abs=0.01
    )
    assert metrics.cc(saliency, density) == pytest.approx(2 / math.sqrt(5))


@given(maps, tokens)
def test_auc_is_the_probability_of_the_right_order(saliency: np.ndarray, at: np.ndarray) -> None:
    unseen = [cell for cell in np.ndindex(*GRID) if cell not in {*map(tuple, at.tolist())}]
    seen = [saliency[tuple(cell)] for cell in at]
    rest = [saliency[cell] for cell in unseen]
    expected = stats.mannwhitneyu(seen, rest).statistic / (len(seen) * len(rest))
    assert metrics.auc(saliency, at) == pytest.approx(expected)


@given(tokens, st.floats(0.1, 40))
def test_the_density_is_the_smoothed_count(at: np.ndarray, sigma: float) -> None:
    expected = np.zeros(GRID)
    for place in np.ndindex(*GRID):
        expected[place] = np.exp(-((at - place) ** 2).sum(1) / (2 * sigma**2)).sum()
    density = metrics.fixation_density(at, GRID, sigma)
    np.testing.assert_allclose(density, expected / expected.sum(), atol=1e-12)


@given(maps, tokens)
def test_kl_and_cc_agree_with_scipy(saliency: np.ndarray, at: np.ndarray) -> None:
    density = metrics.fixation_density(at, GRID, 1.0)
    positive = np.abs(saliency) + 1
    expected = stats.entropy(density.ravel(), positive.ravel())
    assert metrics.kl_divergence(positive, density) == pytest.approx(expected, abs=1e-9)
    if np.ptp(saliency):
        expected = stats.pearsonr(saliency.ravel(), density.ravel()).statistic
        assert metrics.cc(saliency, density) == pytest.approx(expected, abs=1e-9)


@given(tokens, st.floats(0.3, 4))
@pytest.mark.slow
def test_the_fixation_density_beats_a_uniform_map(at: np.ndarray, sigma: float) -> None:
    looked = looks(a_s=[tuple(cell) for cell in at.tolist()])
    density = metrics.fixation_density(at, GRID, sigma)
    best, flat = (
        compare_maps(values[None], ["a"], looked, sigma=sigma, samples=10).per_image.iloc[0]
        for values in (density, np.full(GRID, 0.1))
    )
    assert best["kl"] == pytest.approx(0, abs=1e-9)
    assert best["cc"] == pytest.approx(1)
    assert (flat["kl"] > best["kl"], flat["cc"], flat["nss"], flat["auc"]) == (True, 0, 0, 0.5)
    counts = metrics.fixation_density(at, GRID, 1e-3)
    assert metrics.nss(counts, at) > 0
    assert metrics.auc(counts, at) == 1


@given(maps, tokens, st.floats(0.01, 100), st.floats(-100, 100))
def test_affine_rescaling_changes_neither_nss_nor_auc(
    saliency: np.ndarray, at: np.ndarray, scale: float, shift: float
) -> None:
    rescaled = saliency * scale + shift
    assert metrics.nss(rescaled, at) == pytest.approx(metrics.nss(saliency, at), abs=1e-6)
    assert metrics.auc(rescaled, at) == metrics.auc(saliency, at)


@given(tokens, st.floats(-1e6, 1e6))
def test_a_constant_map_is_at_chance(at: np.ndarray, value: float) -> None:
    constant = np.full(GRID, value)
    assert metrics.auc(constant, at) == 0.5
    assert metrics.nss(constant, at) == 0
    assert metrics.cc(constant, metrics.fixation_density(at, GRID, 1.0)) == 0


def test_auc_is_unknown_where_everything_was_fixated() -> None:
    assert math.isnan(metrics.auc(np.eye(2), np.argwhere(np.ones((2, 2)))))


def test_maps_are_compared_image_by_image() -> None:
    looked = looks(b_s=[(0, 0), (0.4, 7.5)], a_s=[(5, 5)], elsewhere_s=[(1, 1)])
    values = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = compare_maps(values, ["a", "unseen", "b"], looked)
    assert found.per_image["image"].tolist() == ["a", "b"]
    assert found.per_image["fixations"].tolist() == [1, 2]
    last = values[2].detach().double().numpy()
    assert found.per_image["nss"][1] == pytest.approx(metrics.nss(last, np.array([[0, 0], [0, 7]])))
    mean = found.mean.set_index("metric")
    assert [*mean.index] == ["nss", "auc", "kl", "cc"]
    assert mean.loc["auc", "value"] == pytest.approx(found.per_image["auc"].mean())
    assert (mean["low"] <= mean["value"]).all()
    assert (mean["value"] <= mean["high"]).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"maps": np.zeros(GRID)}, r"maps must be \[1, rows, cols\].*got \(6, 8\)"),
        ({"maps": np.zeros((2, *GRID))}, r"maps must be \[1, rows, cols\]"),
        ({"maps": np.full((1, *GRID), np.nan)}, "must be finite; 1 are not, the first is of 'a'"),
        ({"maps": np.zeros((2, *GRID)), "images": ["a", "a"]}, "an image comes twice"),
        ({"maps": np.zeros((1, 6, 7))}, "1 of 1 fixations are not on the grid of 6×7 tokens"),
        ({"images": ["a.jpg"]}, "ids must be the same; maps have 'a.jpg', fixations 'a'"),
        ({"sigma": 0}, "sigma must be a positive number of tokens; got 0"),
        ({"fixations": looks()}, "fixations are empty"),
        ({"fixations": looks(a_s=[(0, 0)]).drop(columns="col")}, "missing column col"),
        ({"fixations": pd.concat([looks(a_s=[(0, 0)])] * 2)}, "rows of the same image, subject"),
    ],
)  # fmt: skip
def test_bad_maps_are_refused(changed: dict[str, object], message: str) -> None:
    good = {"maps": np.zeros((1, *GRID)), "images": ["a"], "fixations": looks(a_s=[(0, 7)])}
    with pytest.raises(ValueError, match=message):
        compare_maps(**{**good, **changed})
