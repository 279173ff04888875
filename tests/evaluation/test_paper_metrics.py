"""The paper's analyses on cases worked out by hand, and by their properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from saccade_env import policies
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, metrics

FEW = 200  # bootstrap samples where the bounds do not matter much
GRID = (14, 14)


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


RIGHT = {"p": [[0, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1]], "a": [[1, 1, 1]] * 4}

tables = st.integers(2, 5).flatmap(
    lambda saccades: st.lists(
        st.lists(st.integers(0, 1), min_size=saccades, max_size=saccades), min_size=1, max_size=12
    )
)
cells = st.tuples(st.integers(0, 13), st.integers(0, 13))
scanpaths = st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8)
few_examples = settings(max_examples=25, deadline=None)


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


def test_transitions_worked_out_by_hand() -> None:
    table = metrics.transitions(records(RIGHT), FEW)
    assert table.index.names == ["policy", "saccade"]
    assert table.index.tolist() == [("p", 2), ("p", 3), ("a", 2), ("a", 3)]
    shares = table[["stayed_right", "right_to_wrong", "wrong_to_right", "stayed_wrong"]]
    assert shares.loc[("p", 2)].tolist() == [0, 0.25, 0.25, 0.5]
    assert shares.loc[("p", 3)].tolist() == [0.25, 0, 0.5, 0.25]
    assert shares.loc[("a", 2)].tolist() == [1, 0, 0, 0]
    back = metrics.transitions(records({"p": [[1, 0, 1], [0, 0, 1]]}), FEW)
    found = back.loc["p", ["wrong_to_right", "right_again"]]
    assert found.to_numpy().tolist() == [[0, 0], [1, 0.5]]
    check_bounds(table)
    assert metrics.transitions(records({"p": [[1], [0]]}), FEW).empty, "a single saccade"


def test_counts_and_first_saccades_worked_out_by_hand() -> None:
    table = metrics.correct_counts(records(RIGHT), FEW)
    assert table.index.names == ["policy", "count"]
    assert table.loc["p", "share"].to_dict() == {0: 0.25, 1: 0.25, 2: 0.5, 3: 0}
    assert table.loc["a", "share"].to_dict() == {0: 0, 1: 0, 2: 0, 3: 1}
    check_bounds(table)
    shuffled = records(RIGHT, labels=[3, 3, 3, -1]).sample(frac=1, random_state=0)
    first = metrics.first_correct(shuffled, "p")
    assert first.index.tolist() == ["image 000", "image 001", "image 002"]
    assert first.fillna(-1).tolist() == [2, 1, -1]
    with pytest.raises(ValueError, match="unknown policy 'q'"):
        metrics.first_correct(shuffled, "q")


@few_examples
@given(tables, st.data())
def test_how_changes_add_up(right: list[list[int]], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from([3, -1]), min_size=len(right), max_size=len(right)))
    frame = records({"p": right}, labels=labels)
    changes, counts = metrics.transitions(frame, FEW), metrics.correct_counts(frame, FEW)
    labelled = frame[frame["label"] >= 0]
    if labelled.empty:
        assert changes.isna().all(axis=None)
        assert counts.isna().all(axis=None)
        return
    for table in (changes, counts):
        check_bounds(table)
    sets = changes[["stayed_right", "right_to_wrong", "wrong_to_right", "stayed_wrong"]]
    assert sets.sum(axis=1).to_numpy() == pytest.approx(1), "they partition the images"
    means = metrics.per_saccade(frame).loc["p"]
    now = changes.loc["p", "stayed_right"] + changes.loc["p", "wrong_to_right"]
    assert now.to_numpy() == pytest.approx(means["accuracy"].to_numpy()[1:])
    assert counts["share"].sum() == pytest.approx(1)
    times = counts.loc["p", "share"] @ np.arange(len(counts))
    assert times == pytest.approx(means["accuracy"].sum())
    first, cumulative = metrics.first_correct(frame, "p"), means["cumulative_accuracy"]
    assert (cumulative.diff().dropna() >= -1e-12).all(), "it never falls"
    new = (changes["wrong_to_right"] - changes["right_again"]).to_numpy()
    assert cumulative.diff().to_numpy()[1:] == pytest.approx(new), "or right before already"
    for saccade, share in cumulative.items():
        assert (first <= saccade).mean() == pytest.approx(share)
    assert counts.loc[("p", 0), "share"] == pytest.approx(first.isna().mean())
    pd.testing.assert_frame_equal(changes, metrics.transitions(labelled, FEW))
    pd.testing.assert_frame_equal(counts, metrics.correct_counts(labelled, FEW))


def test_certainty_where_the_whole_image_is_right() -> None:
    frame = records(RIGHT, labels=[3, 3, 3, -1], full=[1, 0, 1, 1])
    table = metrics.certainty_where_full_right(frame, FEW)
    assert table.index.names == ["policy", "saccade"]
    assert table.loc["p", "certainty"].tolist() == pytest.approx([0.02, 0.03, 0.04])
    assert table.loc["p", "full_certainty"].tolist() == pytest.approx([0.51] * 3)
    assert table["images"].tolist() == [2] * 6
    check_bounds(table)
    nothing = metrics.certainty_where_full_right(frame.assign(label=-1), FEW)
    assert nothing["images"].tolist() == [0] * 6
    assert nothing.drop(columns="images").isna().all(axis=None)
    assert nothing.columns.equals(table.columns)


def test_certainty_by_first_correct_worked_out_by_hand() -> None:
    frame = records(
        {"p": [*RIGHT["p"], [0, 0, 1], [0, 0, 1]]}, labels=[3] * 5 + [-1], full=[1, 1, 1, 1, 0, 1]
    )
    table = metrics.certainty_by_first_correct(frame, samples=FEW)
    assert table.index.names == ["policy", "first_correct", "saccade"]
    assert table["images"].groupby("first_correct", dropna=False).first().tolist() == [1, 1, 1, 1]
    assert table.loc["p"].loc[2, "certainty"].tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert table.loc["p"].loc[3, "full_certainty"].tolist() == pytest.approx([0.53] * 3)
    never = table[table.index.get_level_values("first_correct").isna()]
    assert never["certainty"].tolist() == pytest.approx([0.03, 0.04, 0.05])
    check_bounds(table)
    everyone = metrics.certainty_by_first_correct(frame, full_image_right=False, samples=FEW)
    assert everyone.loc["p"].loc[3, "images"].tolist() == [2, 2, 2]
    assert everyone.loc["p"].loc[3, "full_certainty"].tolist() == pytest.approx([0.535] * 3)
    nothing = metrics.certainty_by_first_correct(frame.assign(label=-1))
    assert nothing.empty
    assert nothing.columns.equals(table.columns)
    assert nothing.index.names == table.index.names


def entropies_of(frame: pd.DataFrame, values: dict[str, list[float]]) -> pd.DataFrame:
    images = sorted(frame["image"].unique())
    return pd.DataFrame(
        [
            {"image": image, "policy": policy, "entropy": value}
            for policy, own in values.items()
            for image, value in zip(images, own, strict=True)
        ]
    )


def drawn(images: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and entropies of a policy whose even maps take longer, and one of no relation."""
    generator = np.random.default_rng(0)
    values = {p: generator.uniform(4, 7, images).round(1).tolist() for p in ("p", "q")}
    first = np.clip(np.round(np.array(values["p"]) - 3 + generator.normal(0, 1, images)), 1, 6)
    right = (first[:, None] <= np.arange(1, 6)).astype(int).tolist()
    frame = records({"p": right, "q": right})
    return entropies_of(frame, values), frame


def test_entropy_by_first_correct_worked_out_by_hand() -> None:
    frame = records({"p": [*RIGHT["p"], [0, 0, 1], [0, 0, 1]]}, labels=[3] * 5 + [-1])
    entropies = entropies_of(frame, {"p": [5, 4, 7, 6, 6.5, 1]})
    table = metrics.entropy_by_first_correct(entropies, frame, FEW)
    assert table.columns.tolist() == ["entropy", "low", "high", "images"]
    assert table.index.get_level_values("first_correct").fillna(-1).tolist() == [1, 2, 3, -1]
    assert table["entropy"].tolist() == [4, 5, 6.25, 7]
    assert table["images"].tolist() == [1, 1, 2, 1]
    check_bounds(table)
    relation = metrics.entropy_relation(entropies, frame, FEW).loc["p"]
    assert relation["rho"] == pytest.approx(spearmanr([5, 4, 6, 6.5], [2, 1, 3, 3])[0])
    assert relation["images"] == 4
    assert relation["never_correct"] == 1
    unlabelled = frame.assign(label=-1)
    assert metrics.entropy_by_first_correct(entropies, unlabelled).empty
    assert metrics.entropy_relation(entropies, unlabelled)["rho"].isna().all()


def test_the_relation_is_spearmans_with_the_interval_of_drawing_images() -> None:
    entropies, frame = drawn()
    table = metrics.entropy_relation(entropies, frame)
    assert table.index.tolist() == ["p", "q"]
    generator = np.random.default_rng(1)
    for policy, found in table.iterrows():
        own = entropies[entropies["policy"] == policy].set_index("image")["entropy"]
        first = metrics.first_correct(frame, str(policy)).dropna()
        pairs = np.stack((own[first.index], first), axis=1)
        assert (found["rho"], found["p_value"]) == pytest.approx(tuple(spearmanr(pairs)))
        picks = generator.integers(len(pairs), size=(800, len(pairs)))
        expected = np.percentile([spearmanr(pairs[pick])[0] for pick in picks], (2.5, 97.5))
        assert (found["low"], found["high"]) == pytest.approx(tuple(expected), abs=0.06)
        assert found["images"] + found["never_correct"] == 60
    assert table.loc["p", "low"] > 0
    assert table.loc["q", "low"] < 0 < table.loc["q", "high"]
    pd.testing.assert_frame_equal(table, metrics.entropy_relation(entropies, frame))


def test_wrong_entropies_are_refused() -> None:
    entropies, frame = drawn(5)
    for wrong, message in (
        (entropies.drop(columns="entropy"), r"entropies need the columns \['entropy'\]"),
        (entropies[1:], "1 labelled images have no entropy under 'p'; the first is 'image 000'"),
        (pd.concat([entropies, entropies]), "'image 000' has more than one entropy under 'p'"),
        (entropies.assign(policy="r"), "unknown policy 'r'"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.entropy_relation(wrong, frame)
        with pytest.raises(ValueError, match=message):
            metrics.entropy_by_first_correct(wrong, frame)


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
