"""Metrics on cases worked out by hand, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_env.evaluation import metrics, report, stopping


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


def certain(rows: list[list[float]], right: list[list[int]]) -> pd.DataFrame:
    return records({"p": right}).assign(certainty=[value for row in rows for value in row])


def test_a_stopping_curve_worked_out_by_hand() -> None:
    frame = certain(
        [[0.2, 0.6, 0.4, 0.7], [0.6, 0.7, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1]],
        [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]],
    )
    curve = metrics.stopping_curve(frame, [0.1, 0.6, 0.9])
    assert curve.columns.tolist() == [
        "policy", "threshold", "accuracy", "saccades", "visible_share",
    ]  # fmt: skip
    assert curve["saccades"].tolist() == pytest.approx([1, (2 + 1 + 4) / 3, 4])
    assert curve["accuracy"].tolist() == pytest.approx([1 / 3, 1, 2 / 3])
    assert curve["visible_share"].tolist() == pytest.approx([0, 0.05 * 4 / 3, 0.15])
    patient = metrics.stopping_curve(frame.sample(frac=1, random_state=0), [0.1, 0.4, 0.6], 2)
    assert patient["saccades"].tolist() == pytest.approx([2, (3 + 2 + 4) / 3, (4 + 2 + 4) / 3])
    assert patient["accuracy"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    endless = metrics.stopping_curve(frame, [0.0], patience=9)
    assert endless["saccades"].tolist() == [4]


def test_the_earliest_stop_is_the_cheapest_one_that_is_as_accurate() -> None:
    curve = pd.DataFrame(
        {"threshold": [0.1, 0.2, 0.3, 0.4], "accuracy": [0.5, 0.596, 0.594, 0.7],
         "saccades": [1.0, 3.0, 2.0, 4.0]}
    )  # fmt: skip
    found = stopping.earliest(curve, 0.6, 10)
    assert found is not None
    assert found["threshold"] == 0.2
    assert stopping.earliest(curve, 0.9, 10) is None
    assert stopping.earliest(curve, 0.7, 4.0) is None, "the full budget is no early stop"


def test_stopping_in_words() -> None:
    frame = certain([[0.9, 0.9], [0.1, 0.9]], [[1, 1], [0, 0]])
    never = records({"q": [[0, 1], [0, 1]]})
    frame = pd.concat([frame, never])
    summary = report.summarise(frame, [0.5])
    assert stopping.lines(summary)[1:] == [
        "  p: its 2-saccade accuracy with 75 % of the saccades at threshold 0.5",
        "  q: its 2-saccade accuracy is not reached with fewer saccades",
    ]


def test_wrong_rules_are_refused() -> None:
    frame = records({"p": [[0, 0]]})
    for thresholds in ([], [0.5, 1.1], [-0.1]):
        with pytest.raises(ValueError, match="stopping thresholds must be certainties, 0 to 1"):
            metrics.stopping_curve(frame, thresholds)
    with pytest.raises(ValueError, match="patience must be ≥ 1; got 0"):
        metrics.stopping_curve(frame, [0.5], 0)


def drawn(images: int, shares: dict[str, float], seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return records({p: generator.binomial(1, s, (images, 4)).tolist() for p, s in shares.items()})


def test_an_interval_is_that_of_drawing_images_with_replacement() -> None:
    frame = drawn(60, {"p": 0.4})
    found = metrics.bootstrap(frame, "p", samples=20_000)
    means = metrics.correctness(frame, "p").mean(axis=1).to_numpy()
    picks = np.random.default_rng(1).integers(0, 60, (20_000, 60))
    expected = np.percentile(means[picks].mean(1), (2.5, 97.5))
    assert found.value == pytest.approx(means.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.006)
    single = metrics.bootstrap(frame, "p", statistic="accuracy@3", samples=20_000)
    share = frame.loc[frame["saccade"] == 3, "correct"].mean()
    assert single.value == pytest.approx(share)
    width = 2 * 1.96 * math.sqrt(share * (1 - share) / 60)
    assert single.high - single.low == pytest.approx(width, rel=0.1)
    assert found == metrics.bootstrap(frame, "p", samples=20_000), "the same seed, the same"
    assert found != metrics.bootstrap(frame, "p", samples=20_000, seed=1)


def test_a_paired_interval_leaves_out_what_images_share() -> None:
    frame = drawn(200, {"easy": 0.5})
    better = frame.assign(policy="better")
    wrong = better.index[~better["correct"]][:40]
    better.loc[wrong, "correct"] = True
    both = pd.concat([frame, better.sample(frac=1, random_state=0)])
    lead = metrics.bootstrap(both, "better", "easy")
    assert lead.value == pytest.approx(40 / 800)
    assert 0.02 < lead.low < lead.value < lead.high < 0.08
    own = metrics.bootstrap(both, "better")
    assert own.high - own.low > 1.5 * (lead.high - lead.low)
    assert metrics.bootstrap(both, "easy", "easy") == (0, 0, 0)
    back = metrics.bootstrap(both, "easy", "better", samples=20_000)
    assert (back.low, back.high) == pytest.approx((-lead.high, -lead.low), abs=0.003)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    found = [
        metrics.bootstrap(drawn(100, {"p": 0.3}, seed), "p", samples=500) for seed in range(60)
    ]
    assert 52 <= sum(low <= 0.3 <= high for _, low, high in found) <= 60


def test_misuse_of_the_bootstrap_is_named() -> None:
    frame = drawn(5, {"one": 0.5, "two": 0.5})
    with pytest.raises(ValueError, match="unknown policy 'tow'. Did you mean 'two'"):
        metrics.bootstrap(frame, "tow")
    for statistic in ("accuracy@5", "accuracy@0", "certainty"):
        with pytest.raises(ValueError, match="'accuracy@1' to 'accuracy@4'; got"):
            metrics.bootstrap(frame, "one", statistic=statistic)
    lacking = frame[(frame["policy"] == "one") | (frame["image"] != "image 0")]
    with pytest.raises(ValueError, match="'one' and 'two' were evaluated on different images"):
        metrics.bootstrap(lacking, "one", "two")
    unlabelled = metrics.bootstrap(frame.assign(label=-1), "one")
    assert all(math.isnan(value) for value in unlabelled)


def test_the_summary_holds_the_intervals() -> None:
    frame = drawn(50, {"p": 0.4})
    values = report.summarise(frame)["results"]["p"]
    expected = metrics.bootstrap(frame, "p")
    assert values["mean_accuracy"] == expected.value
    assert values["mean_accuracy_interval"] == [expected.low, expected.high]
    for share, (low, high) in zip(values["accuracy"], values["accuracy_interval"], strict=True):
        assert low < share < high
    unknown = report.summarise(frame.assign(label=-1))["results"]["p"]
    assert unknown["mean_accuracy"] is None
    assert unknown["accuracy_interval"] == [[None, None]] * 4


def test_other_rules_worked_out_by_hand() -> None:
    right = [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]]
    frame = records({"p": right, "q": right})
    entropy = {f"image {i}": bits for i, bits in enumerate([3.0, 4.0, 5.0, 2.0])}
    frame["map_entropy"] = frame["image"].map(entropy).where(frame["policy"] == "p")
    frame["predicted_gain"] = (1 / frame["saccade"]).where(frame["policy"] == "q")
    # An image has 4 · (threshold + 1/4, 1/2, 3/4 or 1) saccades, 1 to 4, by the rank of its map.
    curve = metrics.stopping_curve(frame, [-1, 0, 0.25, 1], rule="map entropy")
    assert set(curve["policy"]) == {"p"}
    assert curve["saccades"].tolist() == [1, (2 + 3 + 4 + 1) / 4, (3 + 4 + 4 + 2) / 4, 4]
    assert curve["accuracy"].tolist() == [1 / 4, 1, 3 / 4, 3 / 4]
    # A saccade is made where 1, 1/2, 1/3 or 1/4 is expected of it, unless that is below.
    curve = metrics.stopping_curve(frame, [0.1, 0.3, 0.4, 2], rule="predicted gain")
    assert set(curve["policy"]) == {"q"}
    assert curve["saccades"].tolist() == [4, 3, 2, 1], "one is made always"
    usual = metrics.stopping_curve(frame, rule="map entropy")
    assert len(usual) == len(metrics.THRESHOLDS)
    assert usual["saccades"].is_monotonic_increasing
    with pytest.raises(ValueError, match="rule"):
        metrics.stopping_curve(frame, rule="boredom")


def test_the_area_under_the_curve_worked_out_by_hand() -> None:
    frame = records({"p": [[0, 1, 1], [1, 1, 1], [0, 0, 0]]})
    areas = metrics.augc(metrics.correctness(frame, "p"))
    assert areas.tolist() == [3 / 4, 1, 0]
    found = metrics.bootstrap(frame, "p", statistic="augc")
    assert found.value == pytest.approx(7 / 12)
    values = report.summarise(frame)["results"]["p"]
    assert (values["augc"], *values["augc_interval"]) == pytest.approx(tuple(found))
    assert metrics.augc(metrics.correctness(frame[frame["saccade"] == 2], "p")).tolist() == [
        1,
        1,
        0,
    ]
    assert metrics.augc(metrics.correctness(frame.assign(label=-1), "p")).isna().all()
