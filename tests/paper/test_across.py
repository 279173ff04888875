"""Rankings by several classifiers and their agreement, on results that are made by hand."""

from __future__ import annotations

import json
import math
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from saccade_env.paper import agreement
from saccade_env.paper.across import command, folders_of, named
from saccade_env.paper.across_page import write_across
from saccade_env.paper.agreement import Agreement, agreements, compare, kendall_tau, rankings
from saccade_env.paper.figures import Output
from saccade_env.paper.findings import Finding
from saccade_env.paper.results import MAIN, NotRunError, Results
from saccade_env.paper.settings import PaperSettings

Make = Callable[..., Results]
SYNTHETIC = Path(__file__).with_name("synthetic.py")
A, B = "efficientnet_lite0", "timm:deit_tiny_patch16_224,pretrained=false"
REVERSED = {"focus-attention": "random", "random": "focus-attention",
            "focus-saliency": "centre", "centre": "focus-saliency"}  # fmt: skip


@pytest.fixture(scope="module")
def make_results() -> Make:
    return runpy.run_path(str(SYNTHETIC))["build"]


@pytest.fixture(scope="module")
def results(make_results: Make) -> Results:
    return make_results(images=60)


def changed(results: Results, **changes: Any) -> Results:
    """With another main experiment: policies ``renamed``, or ``only`` some, or of some images."""
    records = results.of(MAIN)
    renamed, only = changes.get("renamed", {}), changes.get("only")
    records = records.assign(policy=records["policy"].replace(renamed))
    if only is not None:
        records = records[records["policy"].isin(only)]
    records = records[~records["image"].isin(changes.get("without", ()))]
    return replace(results, records={MAIN: records})


def accuracies(*results: Results) -> pd.DataFrame:
    return agreement.accuracies(dict(zip("abcd", results, strict=False)))


def finding(key: str, verdict: Any, effect: float | None = 1.5) -> Finding:
    return Finding(key, f"statement {key}", "figure 3", effect, -1.0, 4.0, "points", verdict)


@pytest.mark.parametrize("policies", [2, 3, 7])
def test_tau_is_scipys_with_and_without_ties(policies: int) -> None:
    generator = np.random.default_rng(policies)
    first, second = generator.integers(4, size=(2, policies, 200)) / 7
    found = kendall_tau(first, second)
    expected = [kendalltau(x, y).statistic for x, y in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.isnan(found).any() or policies > 3, "all of one ranking equal"


def test_what_differs_by_rounding_alone_is_a_tie() -> None:
    first = np.array([0.1 + 0.2, 0.3, 0.5])
    assert kendall_tau(first, np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / math.sqrt(6))
    assert math.isnan(kendall_tau(first[:1], first[:1]))


def test_policies_are_ranked_by_accuracy_over_all_saccades(results: Results) -> None:
    table = rankings(accuracies(results, changed(results, renamed=REVERSED)))
    assert table.loc["a"].sort_values("rank").index.tolist() == [
        "focus-attention", "focus-saliency", "gbvs", "centre", "random"
    ]  # fmt: skip
    assert table.loc[("b", "random"), "rank"] == 1
    assert table.loc[("b", "focus-attention"), "rank"] == 5
    own = results.of(MAIN).query("policy == 'gbvs'")["correct"].mean()
    assert table.loc[("a", "gbvs"), "accuracy"] == pytest.approx(own)
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()


def test_equal_policies_share_the_better_rank(results: Results) -> None:
    records = results.of(MAIN)
    twin = records[records["policy"] == "gbvs"].assign(policy="twin")
    both = replace(results, records={MAIN: pd.concat([records, twin], ignore_index=True)})
    ranks = rankings(accuracies(both)).loc["a"]["rank"]
    assert ranks["gbvs"] == ranks["twin"] == 3
    assert ranks["centre"] == 5


def test_agreement_and_its_interval(results: Results) -> None:
    table = agreements(accuracies(results, changed(results, renamed=REVERSED), results))
    assert table.index.tolist() == [("a", "b"), ("a", "c"), ("b", "c")]
    same, other = table.loc[("a", "c")], table.loc[("a", "b")]
    assert tuple(same[["tau", "low", "high", "alike"]]) == (1, 1, 1, "yes")
    assert other["alike"] == "no"
    assert -1 <= other["low"] <= other["tau"] <= other["high"] < 0
    assert (other["policies"], other["images"], other["note"]) == (5, 60, "")


def test_the_interval_is_that_of_a_plain_bootstrap(make_results: Make) -> None:
    generator = np.random.default_rng(3)
    first, second = (
        pd.DataFrame(generator.random((40, 4)) < [0.3, 0.35, 0.4, 0.5]).astype(float)
        for _ in range(2)
    )
    found = agreement.agreement(first, second).interval
    drawn = []
    for rows in generator.integers(40, size=(1000, 40)):  # the same images for both
        means = (first.iloc[rows].mean().round(12), second.iloc[rows].mean().round(12))
        drawn.append(kendalltau(*means).statistic)
    expected = np.nanpercentile(drawn, [2.5, 97.5])
    np.testing.assert_allclose(found[1:], expected, atol=0.15)
    assert found.value == pytest.approx(kendalltau(first.mean(), second.mean()).statistic)


def test_what_cannot_be_told_is_said(make_results: Make, results: Results) -> None:
    single = changed(results, only=["gbvs"])
    row = agreements(accuracies(single, single)).iloc[0]
    assert (row["alike"], row["note"]) == ("cannot tell", "there is a single policy")
    assert math.isnan(row["tau"])

    level = changed(results)
    level.records[MAIN]["correct"] = False
    row = agreements(accuracies(results, level)).iloc[0]
    assert (row["alike"], row["note"]) == (
        "cannot tell", "all policies are equally accurate with b"
    )  # fmt: skip

    few = make_results(images=12)
    row = agreements(accuracies(few, few)).iloc[0]
    assert (row["tau"], row["alike"]) == (1, "cannot tell")
    assert row["note"] == "there are only 12 images"


def test_only_what_all_have_is_compared(results: Results) -> None:
    fewer = changed(results, only=["gbvs", "random"], without=["image 003"])
    table = accuracies(results, fewer)
    assert table.shape == (59, 4)
    assert table.columns.tolist() == [(c, p) for c in "ab" for p in ("gbvs", "random")]
    with pytest.raises(NotRunError, match="no policy was run with every classifier"):
        accuracies(changed(results, only=["gbvs"]), changed(results, only=["random"]))
    lacking = compare({"a": results, "b": replace(results, records={})}, {})
    assert lacking.missing == "the experiment “fovea 3” was not run"
    assert lacking.rankings.empty


def test_statements_are_counted() -> None:
    found = {A: [finding("x", "yes"), finding("y", "no")], B: [finding("x", "cannot tell", None)]}
    first, second = agreement.statements(found)
    assert (first.key, first.holds, len(first.findings)) == ("x", 1, 2)
    assert (second.key, second.holds, [*second.findings]) == ("y", 0, [A])
    table = agreement.statement_table([first, second])
    assert table.index.tolist() == [("x", A), ("x", B), ("y", A)]
    assert table.loc[("x", A), "holds_with"] == 1
    assert table.loc[("x", B), "classifiers"] == 2
    assert agreement.statement_table([]).empty


@pytest.fixture(scope="module")
def written(results: Results, tmp_path_factory: Any) -> tuple[Path, Agreement]:
    out, both = tmp_path_factory.mktemp("across"), {A: results, B: changed(results, renamed={})}
    both[B] = replace(both[B], grids={MAIN: (28, 28)})
    stated = {A: [finding("x", "yes"), finding("y", "no")], B: [finding("x", "no")]}
    found = compare(both, stated)
    write_across(found, both, folders_of(both), {"seed": 0, "limit": None}, Output(out))
    return out, found


def test_the_report_holds_rankings_agreement_and_findings(
    written: tuple[Path, Agreement],
) -> None:
    out, _ = written
    html = (out / "report.html").read_text(encoding="utf-8")
    for name, folder in folders_of((A, B)).items():
        assert f'href="{folder}/report.html">{name}</a>' in html
    assert "<td>1 of 2</td>" in html
    assert "<td>0 of 1</td>" in html
    assert "0 hold with every classifier, 1 fail with every one, 0 cannot be told" in html
    assert "Do the two rank the policies alike? Yes: τ = 1.00 (1.00 to 1.00)." in html
    assert "First is Focus attention with efficientnet_lite0 (58.9 %); " in html
    assert f"the token grids differ ({A} 14×14, {B} 28×28)" in html
    assert html.count("<details open>") == 2
    assert "<script" not in html
    (alt,) = re.findall(r'alt="([^"]+)"', html)
    assert alt.startswith("Line charts of mean accuracy and of rank")
    assert {path.name for path in out.rglob("*") if path.is_file()} == {
        "report.html", "findings.json", "rankings.svg", "rankings.png", "rankings.csv",
        "agreement.csv", "findings.csv",
    }  # fmt: skip


def test_tables_and_data_hold_every_digit(written: tuple[Path, Agreement]) -> None:
    out, found = written
    table = pd.read_csv(out / "tables/rankings.csv", index_col=["classifier", "policy"])
    pd.testing.assert_frame_equal(table, found.rankings)
    assert len(pd.read_csv(out / "tables/findings.csv")) == 3
    data = json.loads((out / "findings.json").read_text())
    assert [each["tau"] for each in data["agreement"]] == [1.0]
    assert [(each["key"], each["holds_with"], each["of"]) for each in data["findings"]] == [
        ("x", 1, 2), ("y", 0, 1)
    ]  # fmt: skip
    assert data["findings"][0]["classifiers"][B]["verdict"] == "no"
    assert data["run"]["classifiers"][A]["folder"] == "efficientnet-lite0"


def test_without_the_main_experiment_the_report_says_so(results: Results, tmp_path: Path) -> None:
    without = {name: replace(results, records={}) for name in (A, B)}
    found = compare(without, {A: [], B: []})
    path = write_across(found, without, folders_of(without), {}, Output(tmp_path))
    html = path.read_text(encoding="utf-8")
    assert "There is no ranking: the experiment “fovea 3” was not run." in html
    assert "No finding was tested in these runs" in html
    assert json.loads((tmp_path / "findings.json").read_text())["rankings"] == []


def test_folders_are_told_apart_or_refused() -> None:
    assert folders_of([A, B]) == {
        A: "efficientnet-lite0", B: "timm-deit-tiny-patch16-224-pretrained-false"
    }  # fmt: skip
    with pytest.raises(ValueError, match="'dino-vits16' and 'dino_vits16' would share the folder"):
        folders_of(["dino_vits16", "dino-vits16"])
    with pytest.raises(ValueError, match="would share the folder 'figures'"):
        folders_of(["Figures"])
    with pytest.raises(ValueError, match="expected classifiers; got none"):
        folders_of([])


def test_classifiers_are_names_or_built_ones(make_linear: Any) -> None:
    linear = make_linear()
    assert named([A, linear]) == {A: A, "linear": linear}
    assert named({"mine": linear}) == {"mine": linear}
    with pytest.raises(ValueError, match="'efficientnet_lite0' is given twice"):
        named([A, A])


def test_the_command_can_be_given_again(make_linear: Any) -> None:
    asked = PaperSettings("pictures", "out", policies=("random",), limit=4)
    assert command(asked, named([A, B])) == (
        "saccade-env paper --images pictures --out out --limit 4 --policies random "
        f"--classifier {A} --classifier {B}"
    )
    assert "linear" not in command(asked, named([A, make_linear()]))
