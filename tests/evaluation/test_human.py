"""Fixations of people: reading them, and policies' maps and scanpaths beside them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from saccade_env import cli, geometry, images
from saccade_env.evaluation.human import (
    alignment,
    compare_maps,
    compare_scanpaths,
    metrics,
    read_fixations,
)

GRID = (6, 8)
HEADER = "image,subject,order,row,col"
SIZE = {"image_size": (96, 128), "patch_size": 16}

cells = st.tuples(st.integers(0, GRID[0] - 1), st.integers(0, GRID[1] - 1))
tokens = st.lists(cells, min_size=1, max_size=30).map(np.array)
maps = arrays(np.float64, GRID, elements=st.integers(-50, 50).map(float))
points = st.tuples(*(st.floats(-0.5, size - 0.5, width=32) for size in GRID))
scanpaths = st.lists(points, min_size=1, max_size=5).map(np.array)


def write(path: Path, *lines: str) -> Path:
    file = path / "fixations.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def looks(**paths: list[tuple[float, float]]) -> pd.DataFrame:
    """Fixations from ``image_subject=[(row, col), …]``."""
    rows = [
        (*name.split("_"), float(order), *map(float, place))
        for name, path in paths.items()
        for order, place in enumerate(path)
    ]
    return pd.DataFrame(rows, columns=HEADER.split(","))


def as_records(fixations: pd.DataFrame) -> pd.DataFrame:
    return fixations.rename(columns={"subject": "policy", "order": "saccade"})


# Reading


def test_token_coordinates_are_taken_as_they_are(tmp_path: Path) -> None:
    file = write(
        tmp_path, "col,image,note,subject,order,row", "2.5, b ,x,s,1,1", "", "7,a,y,s,10,0",
        "0,a,z,s,9,5.25",
    )  # fmt: skip
    found = read_fixations(file, **SIZE)
    assert [*found] == HEADER.split(",")
    assert found["image"].tolist() == ["a", "a", "b"]
    assert found[["order", "row", "col"]].to_numpy().tolist() == [
        [9, 5.25, 0],
        [10, 0, 7],
        [1, 1, 2.5],
    ]
    assert found.attrs["outside"] == 0
    pd.testing.assert_frame_equal(found, read_fixations(file))


@pytest.mark.parametrize("keyword", [{}, {"unit": "pixel"}])
def test_pixels_become_tokens(tmp_path: Path, keyword: dict[str, str]) -> None:
    file = write(tmp_path, "image,subject,order,x,y", "a,s,1,8,8", "a,s,2,128,0", "a,s,3,64,40")
    found = read_fixations(file, **SIZE, **keyword)
    assert found[["row", "col"]].to_numpy().tolist() == [[0, 0], [-0.5, 7.5], [2, 3.5]]


def test_relative_positions_become_tokens(tmp_path: Path) -> None:
    file = write(tmp_path, "image,subject,order,x,y", "a,s,1,0,1", "a,s,2,0.5,0.5")
    found = read_fixations(file, unit="relative", **SIZE)
    assert found[["row", "col"]].to_numpy().tolist() == [[5.5, -0.5], [2.5, 3.5]]


@given(cells)
def test_a_tokens_centre_in_pixels_is_that_token(
    tmp_path_factory: pytest.TempPathFactory, cell: tuple[int, int]
) -> None:
    y, x = geometry.row_col_to_pixel(torch.tensor([cell]), 16)[0].tolist()
    file = write(tmp_path_factory.mktemp("pixels"), "image,subject,order,x,y", f"a,s,1,{x},{y}")
    assert read_fixations(file, **SIZE)[["row", "col"]].to_numpy().tolist() == [[*cell]]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("st"), points), min_size=1),
    st.randoms(),
)
def test_the_order_of_lines_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    given_looks: list[tuple[str, str, tuple[float, float]]],
    random: Random,
) -> None:
    lines = [
        f"{image},{subject},{order},{row},{col}"
        for order, (image, subject, (row, col)) in enumerate(given_looks)
    ]
    folder = tmp_path_factory.mktemp("lines")
    found = read_fixations(write(folder, HEADER, *lines), **SIZE)
    random.shuffle(lines)
    pd.testing.assert_frame_equal(found, read_fixations(write(folder, HEADER, *lines), **SIZE))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,order,row"], r"missing column subject, col \(needed: .*found: image, order, row"),
        (["image;subject;order;x;y"], "missing column image, .*found: image;subject;order;x;y"),
        (["image,subject,order,x"], "missing column row, col .*row and col, or x and y"),
        ([HEADER], "has a header but no fixations"),
        ([""], "is empty"),
        ([HEADER + ",row"], "a column comes twice"),
        ([HEADER, "a,s,1,0,0", "", "a,s,2,left,0"], "line 4: row must be .*got 'left' .1 such"),
        ([HEADER, "a,s,1,0,nan", "a,s,2,0,nan"], "line 2: col must be .*got 'nan' .2 such"),
        ([HEADER, "a,s,1,0,inf"], "line 2: col must be a finite number; got 'inf'"),
        ([HEADER, "a,s,,0,0"], "line 2: order must be a finite number; got ''"),
        ([HEADER, "a,,1,0,0"], "line 2: subject is empty"),
        ([HEADER, "a,s,1,0"], "line 2: 4 values for 5 columns"),
        ([HEADER, "a,s,1,0,0,7"], "line 2: 6 values for 5 columns"),
        ([HEADER, '"a"b,s,1,0,0'], "is no CSV file in UTF-8"),
        ([HEADER, "a,s,1,0,0", "a,s,1.0,1,0"], "line 3: image 'a', subject 's', order 1 comes a"),
        ([HEADER, "a,s,1,0,0", "a,s,2,5.6,0"], "1 of 2 .* outside .*line 3: row 5.6, col 0"),
        ([HEADER, "a,s,1,-1,0"], "1 of 1 fixations are outside the image"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_fixations(write(tmp_path, *lines), **SIZE)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"unit": "metre"}, "unit must be one of token, pixel, relative; got 'metre'"),
        ({"unit": "pixel"}, "need image_size and patch_size"),
        ({"unit": "relative"}, "need image_size and patch_size"),
        ({"image_size": (96, 128)}, "go together; got .96, 128. and None"),
        ({"image_size": (96, 128), "patch_size": 10}, "multiple of the patch size"),
        ({"outside": "clip"}, "outside must be 'raise' or 'drop'; got 'clip'"),
    ],
)
def test_contradicting_options_are_refused(
    tmp_path: Path, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_fixations(write(tmp_path, HEADER, "a,s,1,0,0"), **keywords)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes(f"{HEADER}\nk\xe4se,s,1,0,0\n".encode("latin-1"))
    with pytest.raises(ValueError, match="no CSV file in UTF-8"):
        read_fixations(file)


def test_fixations_outside_are_dropped_and_counted(tmp_path: Path) -> None:
    file = write(
        tmp_path, "image,subject,order,x,y", "a,s,1,8,8", "a,s,2,128.1,8", "b,s,1,-3,8", "a,s,3,9,9"
    )
    with pytest.warns(UserWarning, match=r"2 of 4 .*first in line 3: y 8, x 128.1; dropped"):
        found = read_fixations(file, outside="drop", **SIZE)
    assert found["order"].tolist() == [1, 3]
    assert found.attrs["outside"] == 2
    with pytest.raises(ValueError, match="1 of 1 fixations are outside"):
        read_fixations(write(tmp_path, HEADER, "a,s,1,-1,0"), outside="drop")


# Maps


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


@given(tokens, st.floats(0.3, 4))
def test_the_density_is_the_smoothed_count(at: np.ndarray, sigma: float) -> None:
    counts = np.zeros(GRID)
    np.add.at(counts, tuple(at.T), 1)
    smooth = gaussian_filter(counts, sigma, mode="constant", radius=max(GRID))
    density = metrics.fixation_density(at, GRID, sigma)
    np.testing.assert_allclose(density, smooth / smooth.sum(), atol=1e-12)


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


# Scanpaths


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
    distance = distances(one, two)[None]
    # (0, 0) is aligned with (0, 0), (0, 6) with (0, 5), and (0, 3) with a gap
    assert alignment.scanmatch(distance, 4.0)[0, -1, -1] == pytest.approx((1 + 0.75) / 3)
    assert alignment.scanmatch(distance, 0.5)[0, -1, -1] == pytest.approx(1 / 3)
    # both start together (2·0), (0, 3) with (0, 5) in both (2·2), then (0, 6) with (0, 5)
    assert alignment.time_warping(distance)[0, -1, -1] == pytest.approx((0 + 2 * 2 + 1) / 5)


@given(scanpaths, scanpaths, st.floats(0.5, 10))
def test_alignments_are_the_best_of_all(one: np.ndarray, two: np.ndarray, cutoff: float) -> None:
    distance = distances(one, two)
    found = alignment.similarities([(one, two)], cutoff, 10.0)
    assert found["scanmatch"] == pytest.approx(every_alignment(distance, cutoff), abs=1e-9)
    assert found["dtw"] == pytest.approx(1 - every_warping(distance) / 10, abs=1e-9)


@given(scanpaths, scanpaths, st.floats(0.5, 10))
def test_a_scanpath_is_most_like_itself(one: np.ndarray, two: np.ndarray, cutoff: float) -> None:
    alike, there, back = (
        alignment.similarities([pair], cutoff, 10.0)
        for pair in ((one, one), (one, two), (two, one))
    )
    assert alike == {"scanmatch": 1, "dtw": 1}
    assert there == pytest.approx(back)
    assert all(0 <= value <= 1 + 1e-12 for value in there.values())


@given(st.lists(st.tuples(scanpaths, scanpaths), min_size=1, max_size=4))
def test_many_pairs_are_as_one_by_one(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    single = [alignment.similarities([pair], 3.0, 10.0) for pair in pairs]
    expected = pd.DataFrame(single).mean().to_dict()
    assert alignment.similarities(pairs, 3.0, 10.0) == pytest.approx(expected)


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
    expected = alignment.similarities(pairs, 2.5, 10.0)
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


@pytest.mark.filterwarnings("ignore:people looked at 3 of these images")
def test_policies_are_compared_on_the_pictures_looked_at(tmp_path: Path) -> None:
    source = images.create("sample")
    path = tmp_path / "fixations.csv"
    generator = np.random.default_rng(0)
    lines = ["image,subject,order,x,y"]
    for i, subject, order in itertools.product(range(3), "ab", range(4)):
        x, y = generator.normal(112, 25, 2)
        lines.append(f"{source.id(i)},{subject},{order},{x:.1f},{y:.1f}")
    path.write_text("\n".join(lines))
    arguments = ["human", str(path), "--images", "sample", "--classifier", "efficientnet_lite0",
                 "--policy", "centre", "--policy", "random", "--saccades", "3",
                 "--out", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    maps = pd.read_csv(tmp_path / "maps.csv").set_index(["policy", "metric"])
    assert maps.loc[("centre", "nss"), "low"] > maps.loc[("random", "nss"), "high"]
    paths = pd.read_csv(tmp_path / "scanpaths.csv")
    assert set(paths["policy"]) == {"centre", "random", "human", "shuffled"}
    path.write_text("image,subject,order,x,y\nnowhere.jpg,a,0,3,3\n")
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "nowhere.jpg" in done.output
