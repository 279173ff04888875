"""A run with several classifiers: its folder, what goes on, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from saccade_env import cli, evaluation
from saccade_env.classifiers.base import Weights
from saccade_env.paper import run
from saccade_env.paper.across import folders_of, run_across
from saccade_env.paper.results import ATTENTION
from saccade_env.paper.run import run_paper

DEIT = "timm:deit_tiny_patch16_224,pretrained=false"


@pytest.fixture
def judges(make_linear: Any) -> Callable[..., Any]:
    """Small classifiers of these names, each with weights of its own."""

    def build(*names: str) -> dict[str, Any]:
        def builder(name: str) -> Any:
            def of_size(size: tuple[int, int]) -> Any:
                judge = make_linear(size, num_classes=1000)
                judge.name, judge.weights = name, Weights(f"random, {name}", "-")
                return judge

            return of_size

        return {name: builder(name) for name in names}

    return build


@pytest.fixture
def asked(settings: Any) -> Any:
    """Settings of a small run: a figure of two policies."""
    return lambda **changes: settings(**{"only": (4,), "policies": ("random", "centre"), **changes})


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts scanpaths that were not there before, by the classifier's folder."""
    counted: Counter[str] = Counter()

    def evaluate(*given: Any, progressed: Any, **keywords: Any) -> Any:
        def count(scanpaths: int) -> None:
            counted[keywords["out"].parents[1].name] += scanpaths
            progressed(scanpaths)

        return evaluation.evaluate(*given, progressed=count, **keywords)

    monkeypatch.setattr(run, "evaluate", evaluate)
    return counted


@pytest.mark.slow
def test_a_run_each_and_a_report_on_top(
    asked: Any, judges: Any, make_policy: Any, fresh: Counter[str]
) -> None:
    out = asked().out
    found = run_across(asked(), judges("one", "two"), make_policy)
    assert found.rankings.index.tolist() == [
        (name, policy) for name in ("one", "two") for policy in ("random", "centre")
    ]
    assert len(found.pairs) == 1
    assert {path.name for path in out.iterdir()} == {
        "one", "two", "figures", "tables", "report.html", "findings.json", "run.json",
        "manifest.json",
    }  # fmt: skip
    alone = run_paper(asked(out=out / "one", classifier=judges("one")["one"]), make_policy)
    assert alone.run["classifier"]["name"] == "one"
    fresh.clear()
    run_across(asked(), judges("one", "two", "three"), make_policy)  # adds one
    assert +fresh == {"three": 10}
    fresh.clear()
    shutil.rmtree(out / "two")
    run_across(asked(), judges("one", "two"), make_policy)
    assert +fresh == {"two": 10}
    assert [*json.loads((out / "findings.json").read_text())["run"]["classifiers"]] == [
        "one", "two"
    ]  # fmt: skip


@pytest.mark.slow
def test_all_take_the_first_ones_policies_and_keep_them(
    asked: Any, judges: Any, make_policy: Any
) -> None:
    def without_gbvs(name: str, grid: tuple[int, int]) -> Any:
        if name == "gbvs":
            raise ImportError("no gbvs here")
        return make_policy(name, grid)

    out = asked().out
    run_across(asked(policies=None), judges("one"), without_gbvs)
    found = run_across(asked(policies=None), judges("two", "one"), make_policy)
    ranked = found.rankings.index
    assert "gbvs" not in ranked.get_level_values("policy")
    assert len(ranked) == 8
    stored = json.loads((out / "run.json").read_text())
    assert stored["policies"] == ["focus-attention", "focus-saliency", "random", "centre"]
    assert stored["crop_classifier"] == "small"
    roles = [
        json.loads((out / name / "results.json").read_text())["roles"] for name in ("one", "two")
    ]
    assert roles[0] == roles[1]
    assert roles[0][ATTENTION] == "focus-attention"


@pytest.mark.slow
def test_another_run_and_foreign_files_are_left_alone(
    asked: Any, judges: Any, make_policy: Any
) -> None:
    out, both = asked().out, judges("one", "two")
    run_paper(asked(), make_policy)
    with pytest.raises(FileExistsError, match="holds the paper's run with a single classifier"):
        run_across(asked(), both, make_policy)
    (out / "mine.txt").write_text("mine")
    run_across(asked(overwrite=True), both, make_policy)
    assert not (out / "runs").exists()
    with pytest.raises(FileExistsError, match="holds another run, with other .*roles"):
        run_paper(asked(), make_policy)
    with pytest.raises(FileExistsError, match="holds another run, with other seed"):
        run_across(asked(seed=1), both, make_policy)
    with pytest.raises(FileExistsError, match="holds another run, with other policies"):
        run_across(asked(policies=("random",), dry_run=True), both, make_policy)
    (out / "three").mkdir()
    (out / "three/report.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"three.report\.html is not known to be"):
        run_across(asked(), judges("one", "three"), make_policy)
    run_across(asked(seed=1, overwrite=True), both, make_policy)
    assert (out / "mine.txt").read_text() == (out / "three/report.html").read_text() == "mine"


def test_a_dry_run_shows_every_plan_and_the_total(
    asked: Any, judges: Any, make_policy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_across(asked(dry_run=True), judges("one", "two"), make_policy)
    printed = capsys.readouterr().out
    assert printed.index("one: 1 of 2 classifiers") < printed.index("two: 2 of 2 classifiers")
    assert printed.count("fovea 3") == 2
    assert "left for all classifiers" in printed
    assert found.rankings.empty
    assert not asked().out.exists()


def test_what_is_wrong_is_said_before_the_work(
    asked: Any, judges: Any, make_linear: Any, make_policy: Any
) -> None:
    twins = {name: make_linear(num_classes=1000) for name in ("one", "two")}
    with pytest.raises(ValueError, match="'one' and 'two' are the same network"):
        run_across(asked(), twins, make_policy)
    with pytest.raises(ValueError, match="Did you mean 'dino_vits16'"):
        run_across(asked(), {**judges("one"), "two": "dino_vits61"}, make_policy)
    with pytest.raises(ValueError, match="Did you mean 'random'"):
        run_across(asked(policies=("rnadom",)), judges("one", "two"), make_policy)
    assert not asked().out.exists()


@pytest.mark.slow
def test_two_networks_from_the_command_line(tmp_path: Path, fresh: Counter[str]) -> None:
    """Real networks on the sample; then once more, and after one of the folders is gone."""
    out, folders = tmp_path / "out", folders_of(["efficientnet_lite0", DEIT])
    call = ["paper", "--images", "sample", "--limit", "3", "--only", "3", "--out", str(out)]
    for name in ("random", "centre", "gbvs"):
        call += ["--policies", name]
    for name in folders:
        call += ["--classifier", name]

    def rankings() -> tuple[pd.DataFrame, dict[str, int]]:
        fresh.clear()
        done = CliRunner().invoke(cli.app, call, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert f"wrote {out / 'report.html'}" in done.output
        return pd.read_csv(out / "tables/rankings.csv"), dict(+fresh)

    whole, counted = rankings()
    assert len(whole) == 6
    assert counted == dict.fromkeys(folders.values(), 3 * (3 + 1))
    again, counted = rankings()
    pd.testing.assert_frame_equal(again, whole)
    assert not counted
    shutil.rmtree(out / folders[DEIT])
    again, counted = rankings()
    pd.testing.assert_frame_equal(again, whole)
    assert counted == {folders[DEIT]: 12}
