"""Verdicts on results in which the effects are planted, one way and the other."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.paper.figures import RECIPES, accuracy, asked, certainty
from saccade_env.paper.findings import FEWEST, Finding, of_means, verdict_of, weakest
from saccade_env.paper.results import (
    ATTENTION,
    CENTRE,
    CLASSICAL,
    DEEP,
    RANDOM,
    Results,
)

CLAIMS = [claim for recipe in RECIPES.values() for claim in recipe.claims]
Make = Callable[..., Results]
SYNTHETIC = Path(__file__).with_name("synthetic.py")


def findings(results: Results, only: Collection[int] = ()) -> list[Finding]:
    return [finding for recipe in asked(only) for finding in recipe.findings(results)]


def by_key(results: Results) -> dict[str, Finding]:
    return {finding.key: finding for finding in findings(results)}


@pytest.fixture(scope="module")
def make_results() -> Make:
    return runpy.run_path(str(SYNTHETIC))["build"]


@pytest.fixture(scope="module")
def planted(make_results: Make) -> dict[str, Finding]:
    return by_key(make_results(images=300))


@pytest.mark.parametrize(
    ("low", "high", "side", "margin", "verdict"),
    [
        (0.1, 2, "above", 0, "yes"), (-2, -0.1, "above", 0, "no"),
        (-1, 1, "above", 0, "cannot tell"), (0, 0, "above", 0, "cannot tell"),
        (51, 60, "above", 50, "yes"),
        (49, 60, "above", 50, "cannot tell"), (40, 49, "above", 50, "no"),
        (-2, -0.1, "below", 0, "yes"), (0.1, 2, "below", 0, "no"),
        (-1, 1, "below", 0, "cannot tell"),
        (-8, 9, "within", 10, "yes"), (-12, 9, "within", 10, "cannot tell"),
        (-20, -12, "within", 10, "no"), (12, 20, "within", 10, "no"),
        (math.nan, math.nan, "above", 0, "cannot tell"),
        (math.nan, math.nan, "within", 10, "cannot tell"),
    ],
)  # fmt: skip
def test_the_rule(low: float, high: float, side: Any, margin: float, verdict: str) -> None:
    assert verdict_of(Interval((low + high) / 2, low, high), side, margin) == verdict


def test_planted_effects_are_found(planted: dict[str, Finding]) -> None:
    assert [key for key, finding in planted.items() if finding.verdict != "yes"] == []
    assert len(planted) == len(CLAIMS)
    for finding in planted.values():
        assert finding.low is not None
        assert finding.high is not None
        assert finding.effect is not None
        assert finding.low <= finding.effect <= finding.high
    assert planted["attention-above-random-fovea-3"].effect == pytest.approx(23, abs=1)
    assert planted["fewer-tokens-fovea-3"].effect == pytest.approx(0.1 * 54)
    assert planted["cumulative-above-full"].effect == pytest.approx(6, abs=1)
    assert planted["certainty-jumps"].effect == pytest.approx(30)
    assert planted["layer-1-below-random"].effect == pytest.approx(-4.7, abs=1)
    assert planted["rise-after-layer-3"].effect == pytest.approx(22 - 16 / 4, abs=1.5)
    assert planted["classical-overtakes"].effect == pytest.approx(11, abs=1)
    assert planted["half-the-cost-as-good"].effect == pytest.approx(-1)
    cost = 18 * (160 / 224) ** 4 + 24 * 6 * 0.8 * 9 / 196  # GFLOPs of layer 6 at 160 pixels
    assert planted["cheaper-than-full-image"].effect == pytest.approx(100 * cost / 24, abs=0.1)
    assert "layer 6 at 160 pixels with 6 windows" in planted["half-the-cost-as-good"].note


def test_effects_are_the_metrics(make_results: Make, planted: dict[str, Finding]) -> None:
    results = make_results(images=300)
    lead = metrics.bootstrap(
        results.records["unisal 288x384"], "gbvs", "focus-saliency", "accuracy@6"
    )
    found = planted["classical-overtakes"]
    assert (found.effect, found.low, found.high) == pytest.approx([100 * v for v in lead])
    relation = metrics.entropy_relation(results.entropies(), results.records["fovea 3"])
    assert planted["entropy-random"].effect == pytest.approx(relation.loc["random", "rho"])


def test_the_other_way_round_they_fail(make_results: Make) -> None:
    roles = {
        ATTENTION: "random", RANDOM: "focus-attention", DEEP: "gbvs", CLASSICAL: "focus-saliency",
        CENTRE: "centre",
    }  # fmt: skip
    found = by_key(make_results(roles=roles))
    expected = {
        "attention-above-random-fovea-3", "fewer-tokens-fovea-5", "steep-rise",
        "cumulative-above-full", "certainty-above-random", "certainty-near-full",
        "entropy-attention", "entropy-random", "crop-centre-above-classical-saliency",
        "crop-attention-above-deep-saliency", "attention-above-deep-saliency",
        "classical-starts-below", "classical-overtakes", "start-alike", "layer-2-above-random",
    }  # fmt: skip
    assert {key for key in expected if found[key].verdict != "no"} == set()
    assert "Focus attention stands for random" in found["fewer-tokens-fovea-3"].note


def test_few_images_tell_nothing(make_results: Make) -> None:
    for finding in findings(make_results(images=FEWEST - 8)):
        assert finding.verdict == "cannot tell"
        assert "images" in finding.note


def test_noise_tells_nothing(make_results: Make) -> None:
    results = make_results(images=40)
    records = results.records["fovea 3"].copy()
    records["correct"] = np.random.default_rng(3).random(len(records)) < 0.5
    found = by_key(replace(results, records={"fovea 3": records}))
    assert found["attention-above-random-fovea-3"].verdict != "yes"


def test_what_was_not_run_is_named(make_results: Make) -> None:
    for finding in findings(Results({}, {})):
        assert (finding.verdict, finding.effect) == ("cannot tell", None)
        assert finding.note
    whole = make_results()
    without = by_key(replace(whole, records={"fovea 3": whole.records["fovea 3"]}))
    assert "“fovea 5” was not run" in without["attention-above-random-fovea-5"].note
    assert "“layers” was not run" in without["layer-1-below-random"].note
    assert "“resolutions” was not run" in without["10x10-close"].note
    assert "“unisal 288x384”" in without["attention-above-deep-saliency"].note
    assert "single crops" in without["crop-centre-above-classical-saliency"].note
    assert "“unisal 224x384” was run" in without["start-alike"].note
    records = {key: table for key, table in whole.records.items() if key != "unisal 288x384"}
    assert by_key(replace(whole, records=records))["start-alike"].verdict == "yes"
    assert "in “unisal 224x384” it is" in by_key(whole)["start-alike"].note
    roles = {role: policy for role, policy in whole.roles.items() if role != DEEP}
    missing = by_key(replace(whole, roles=roles))["then-diverge"]
    assert missing.verdict == "cannot tell"
    assert "“deep saliency”" in missing.note


def test_what_has_no_price_is_named(make_results: Make) -> None:
    whole = make_results(images=30)
    cached = {"name": "dino_vits16", "mode": "kv_cache"}
    for changed, why in (({"flops": {}}, "not counted"), ({"classifier": cached}, "KV cache")):
        found = by_key(replace(whole, run=whole.run | changed))
        for key in ("half-the-cost-as-good", "cheaper-than-full-image"):
            assert (found[key].verdict, found[key].effect) == ("cannot tell", None)
            assert why in found[key].note


def test_without_labels_nothing_about_accuracy_is_told(make_results: Make) -> None:
    whole = make_results(images=30)
    records = {name: table.assign(label=-1) for name, table in whole.records.items()}
    found = by_key(replace(whole, records=records))
    told = {key for key, finding in found.items() if finding.verdict != "cannot tell"}
    assert told == {
        "fewer-tokens-fovea-3", "fewer-tokens-fovea-5", "start-alike", "then-diverge",
        "attention-explores", "classical-saliency-explores",
    }  # fmt: skip


def test_notes_name_the_stand_ins(make_results: Make, planted: dict[str, Finding]) -> None:
    note = planted["crop-attention-above-deep-saliency"].note
    assert "Focus attention stands for DINO attention" in note
    assert "Focus saliency stands for UNISAL" in note
    assert "Focus" not in planted["crop-classical-saliency-above-random"].note
    assert "±10 points" in planted["certainty-near-full"].note
    assert not any("Focus" in finding.statement for finding in planted.values())


def test_only_some_and_always_the_same(make_results: Make) -> None:
    results = make_results(images=30)
    assert {finding.source for finding in findings(results, [7, 11])} == {"figure 7", "figure 11"}
    assert findings(results, [3, 4]) == findings(make_results(images=30), [3, 4])
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)


def test_the_weakest_saccade_decides() -> None:
    table = pd.DataFrame({1: [0.5, 0.7] * 20, 2: [0.1, 0.3] * 20, 3: [0.9, 1.0] * 20})
    found = weakest(table)
    assert found.interval.value == pytest.approx(20)
    assert "number 2" in found.note
    assert weakest(table - 0.25).interval.high < 0, "one saccade below 0 is enough for a no"
    assert found.images == 40
    alone = weakest(table[[2]]).interval
    assert found.interval.low < alone.low < alone.high < found.interval.high, "chosen among three"


def test_a_ratio_of_means() -> None:
    parts = pd.DataFrame({0: [1.0, 2.0] * 50, 1: [2.0, 4.0] * 50})
    found = of_means(parts, lambda means: means[0] / means[1])
    assert found.interval == pytest.approx((0.5, 0.5, 0.5))
    nothing = of_means(parts.iloc[:0], lambda means: means[0] / means[1])
    assert math.isnan(nothing.interval.value)


def test_a_small_group_tells_nothing() -> None:
    """Three images that change, or two that are right late, are few among however many."""
    records = pd.DataFrame(
        {
            "image": np.repeat([f"{i}" for i in range(60)], 4),
            "label": 1, "policy": "dino", "saccade": np.tile([1, 2, 3, 4], 60),
            "row": 0, "col": 0, "prediction": 1, "correct": True, "certainty": 0.5,
            "visible_share": 0.1, "true_class_probability": 0.5, "full_prediction": 1,
            "full_certainty": 0.9,
        }
    )  # fmt: skip
    records.loc[records["image"].isin(["0", "1", "2"]) & (records["saccade"] < 4), "correct"] = (
        False
    )
    results = Results({ATTENTION: "dino"}, {"fovea 3": records}, grids={"fovea 3": (14, 14)})
    assert accuracy.early_changes(results).images == 3
    assert certainty.early_certain(results).images == 3
