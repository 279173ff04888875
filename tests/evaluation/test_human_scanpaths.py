"""Scanpaths of policies beside those of people."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import GRID, looks, points

from saccade_env.evaluation.human import compare_scanpaths, metrics

scanpaths = st.lists(points, min_size=1, max_size=5).map(np.array)


def as_records(fixations: pd.DataFrame) -> pd.DataFrame:
    return fixations.rename(columns={"subject": "policy", "order": "saccade"})


def distances(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, None] - two, axis=-1)


def every_alignment(distance: np.ndarray, cutoff: float) -> float:
    """The best of all ways to pair some fixations in order, by trying them."""
    first, second = distance.shape
    return max(
        sum(1 - distance[i, j] / cutoff for i, j in zip(rows, cols, strict=True))
        for count in range(min(first, second) + 1)
        for rows in itertools.combinations(range(first), count)
        for cols in itertools.combinations(range(second), count)
    ) / max(first, second)


def every_warping(distance: np.ndarray) -> float:
    """The least of all warpings, by trying them."""

    def costs(i: int, j: int) -> list[float]:
        if i < 0 or j < 0:
            return []
        if i == j == 0:
            return [2 * distance[0, 0]]
        ways = [(i - 1, j, 1), (i, j - 1, 1), (i - 1, j - 1, 2)]
        return [cost + weight * distance[i, j] for *at, weight in ways for cost in costs(*at)]

    first, second = distance.shape
    return min(costs(first - 1, second - 1)) / (first + second)


def test_scanpaths_by_hand() -> None:
    one, two = np.array([(0, 0), (0, 3), (0, 6)]), np.array([(0, 0), (0, 5)])
    distance = distances(one, two)[..., None]
    # (0, 0) is aligned with (0, 0), (0, 6) with (0, 5), and (0, 3) with a gap
    assert metrics.scanmatch(distance, 4.0)[-1, -1, 0] == pytest.approx((1 + 0.75) / 3)
    assert metrics.scanmatch(distance, 0.5)[-1, -1, 0] == pytest.approx(1 / 3)
    # both start together (2·0), (0, 3) with (0, 5) in both (2·2), then (0, 6) with (0, 5)
    assert metrics.time_warping(distance)[-1, -1, 0] == pytest.approx((0 + 2 * 2 + 1) / 5)


@given(scanpaths, scanpaths, st.floats(0.5, 10))
def test_alignments_are_the_best_of_all(one: np.ndarray, two: np.ndarray, cutoff: float) -> None:
    distance = distances(one, two)
    found = metrics.similarities([(one, two)], cutoff, 10.0)
    assert found["scanmatch"] == pytest.approx(every_alignment(distance, cutoff), abs=1e-9)
    assert found["dtw"] == pytest.approx(1 - every_warping(distance) / 10, abs=1e-9)


@given(scanpaths, scanpaths, st.floats(0.5, 10))
def test_a_scanpath_is_most_like_itself(one: np.ndarray, two: np.ndarray, cutoff: float) -> None:
    alike, there, back = (
        metrics.similarities([pair], cutoff, 10.0) for pair in ((one, one), (one, two), (two, one))
    )
    assert alike == {"scanmatch": 1, "dtw": 1}
    assert there == pytest.approx(back)
    assert all(0 <= value <= 1 + 1e-12 for value in there.values())


@given(st.lists(st.tuples(scanpaths, scanpaths), min_size=1, max_size=4))
def test_many_pairs_are_as_one_by_one(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    single = [metrics.similarities([pair], 3.0, 10.0) for pair in pairs]
    expected = pd.DataFrame(single).mean().to_dict()
    assert metrics.similarities(pairs, 3.0, 10.0) == pytest.approx(expected)


LOOKED = looks(
    a_s=[(0, 0), (0, 4)], a_t=[(0, 0), (0, 4)], a_u=[(0, 2), (0, 4)],
    b_s=[(5, 7), (5, 3)], b_t=[(5, 6), (5, 3), (1, 1)],
    elsewhere_s=[(2, 2)],
)  # fmt: skip
RECORDS = as_records(looks(
    a_same=[(0, 0), (0, 4)], a_far=[(5, 7), (5, 7)], b_same=[(5, 7), (5, 3)],
    b_far=[(0, 0), (0, 0)], unseen_same=[(3, 3)],
))  # fmt: skip


def test_policies_stand_between_floor_and_ceiling() -> None:
    found = compare_scanpaths(RECORDS, LOOKED, GRID, cutoff=4.0)
    table = found.per_image.set_index(["image", "policy"])
    assert [*table.index] == [*itertools.product("ab", ["same", "far", "human", "shuffled"])]
    assert table.loc[("a", "same"), "scanmatch"] == pytest.approx((1 + 1 + 0.75) / 3)
    assert table.loc[("a", "same"), "dtw"] == pytest.approx(1 - (0 + 0 + 2 * 2 / 4) / 3 / 10)
    assert table.loc[("a", "human"), "scanmatch"] == pytest.approx((1 + 0.75 + 0.75) / 3)
    assert table.loc[("b", "human"), "scanmatch"] == pytest.approx((0.75 + 1) / 3)
    mean = found.mean.set_index(["policy", "metric"])
    assert mean.loc[("same", "dtw"), "value"] == pytest.approx(
        table.xs("same", level="policy")["dtw"].mean()
    )
    for metric in ("scanmatch", "dtw"):
        human, floor = (mean.loc[(name, metric), "value"] for name in ("human", "shuffled"))
        assert mean.loc[("same", metric), "value"] > floor
        assert human > floor


def test_the_floor_compares_with_another_image() -> None:
    found = compare_scanpaths(RECORDS, LOOKED, GRID).per_image.set_index(["image", "policy"])
    paths = {
        image: [path[["row", "col"]].to_numpy() for _, path in looked.groupby("subject")]
        for image, looked in LOOKED.groupby("image")
    }
    pairs = [*itertools.product(paths["a"], paths["b"])]
    expected = metrics.similarities(pairs, 2.5, 10.0)
    for image in "ab":
        assert found.loc[(image, "shuffled")].to_dict() == pytest.approx(expected)


def test_rows_may_come_in_any_order() -> None:
    found = compare_scanpaths(RECORDS, LOOKED, GRID)
    again = compare_scanpaths(RECORDS, LOOKED.iloc[::-1], GRID)
    pd.testing.assert_frame_equal(found.per_image, again.per_image)
    again = compare_scanpaths(RECORDS.sort_values("saccade", ascending=False), LOOKED, GRID)
    pd.testing.assert_frame_equal(found.mean, again.mean)


def test_only_the_first_fixations_may_count() -> None:
    found = compare_scanpaths(RECORDS, LOOKED, GRID, first=1).per_image
    one = [frame[frame[order] < 1] for frame, order in ((RECORDS, "saccade"), (LOOKED, "order"))]
    pd.testing.assert_frame_equal(found, compare_scanpaths(*one, GRID).per_image)


def test_one_subject_has_no_ceiling_and_one_image_no_floor() -> None:
    found = compare_scanpaths(RECORDS, looks(a_s=[(0, 0)]), GRID)
    assert found.per_image["policy"].tolist() == ["same", "far"]
    mean = found.mean.set_index("policy")["value"]
    assert mean[["human", "shuffled"]].isna().all()
    assert mean[["same", "far"]].notna().all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"records": RECORDS.drop(columns="saccade")}, "records need columns .*missing: saccade"),
        ({"records": RECORDS.replace("far", "human")}, "no policy may be called 'human'"),
        ({"records": pd.concat([RECORDS] * 2)}, "records, with policies as subjects: .*same image"),
        ({"records": RECORDS.iloc[:0]}, "records, with policies as subjects: .*empty"),
        ({"records": RECORDS[RECORDS["image"] == "unseen"]}, "have 'unseen', fixations 'a'"),
        ({"grid": (5, 8)}, "records, .*not on the grid of 5×8 tokens"),
        ({"first": 0}, "first must be a positive number of fixations; got 0"),
        ({"cutoff": -1}, "cutoff must be a positive number of tokens; got -1"),
    ],
)  # fmt: skip
def test_bad_scanpaths_are_refused(changed: dict[str, object], message: str) -> None:
    good = {"records": RECORDS, "fixations": LOOKED, "grid": GRID}
    with pytest.raises(ValueError, match=message):
        compare_scanpaths(**{**good, **changed})
