"""The paper's analyses on cases worked out by hand, and by their properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from tabulated import FEW, check_bounds, few_examples, records

from saccade_env.evaluation import metrics

RIGHT = {"p": [[0, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1]], "a": [[1, 1, 1]] * 4}

tables = st.integers(2, 5).flatmap(
    lambda saccades: st.lists(
        st.lists(st.integers(0, 1), min_size=saccades, max_size=saccades), min_size=1, max_size=12
    )
)


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
