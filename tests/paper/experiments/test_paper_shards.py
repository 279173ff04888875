"""Shards of the paper's experiments: put together they are what one process makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from timeless import timeless
from typer.testing import CliRunner

from saccade_env import cli
from saccade_env.evaluation import Shard
from saccade_env.paper import run
from saccade_env.paper.across import run_across
from saccade_env.paper.merge import merge_paper
from saccade_env.paper.plan import make_plan

DINO = ("dino", "focus-saliency", "gbvs", "random", "centre")


def tables(out: Path) -> dict[str, bytes]:
    """What holds the results: tables, findings, records."""
    kept = [*out.glob("tables/*.csv"), *out.glob("runs/*/*"), out / run.FINDINGS]
    return {path.relative_to(out).as_posix(): timeless(path) for path in kept if path.is_file()}


@pytest.fixture
def asked(settings: Any, tmp_path: Path) -> Any:
    """Settings of a small run of all experiments, or of some."""
    return lambda name, **changes: settings(out=tmp_path / name, policies=DINO, **changes)


@pytest.mark.slow
def test_the_whole_is_what_one_process_makes(asked: Any, make_policy: Any, tmp_path: Path) -> None:
    whole = run.run_paper(asked("plain"), make_policy)
    for names in (["one", "two"], ["together"] * 2):
        for index in (1, 0):
            run.run_paper(asked(names[index], shard=Shard(index, 2)), make_policy)
        folders = [tmp_path / name for name in dict.fromkeys(names)]
        assert not [folder for folder in folders if (folder / run.REPORT).exists()]
        merged = tmp_path / f"merged-{names[0]}"
        found = merge_paper(folders, merged)
        left, right = tables(merged), tables(tmp_path / "plain")
        assert left.keys() == right.keys()
        assert len([name for name in left if name.startswith("tables/")]) > 8
        commands = [json.loads(files.pop(run.FINDINGS))["findings"] for files in (left, right)]
        assert commands[0] == commands[1]
        assert left == right
        assert found.records.keys() == whole.records.keys()
        for number in (8, 9, 12, 13):
            [picture] = (merged / "figures").glob(f"{number:02d}-*.png")
            assert picture.read_bytes() == (tmp_path / "plain/figures" / picture.name).read_bytes()
    merge_paper(folders, folders[0])
    assert (folders[0] / run.REPORT).exists()
    assert not list((folders[0] / "runs").rglob("parts"))


@pytest.mark.slow
def test_what_is_missing_is_named_for_all_experiments(
    asked: Any, make_policy: Any, tmp_path: Path
) -> None:
    some = {"only": (3, 10)}
    run.run_paper(asked("one", **some, shard=Shard(0, 2)), make_policy)
    with pytest.raises(ValueError, match=r"missing in .*fovea-3") as refused:
        merge_paper([tmp_path / "one"], tmp_path / "out")
    lines = str(refused.value).splitlines()
    assert {line.split("/runs/")[1].split(":")[0] for line in lines} == {
        "fovea-3", "fovea-5", "unisal-224x384", "unisal-288x384", "crops"
    }  # fmt: skip
    shutil.rmtree(tmp_path / "one/runs/crops")
    with pytest.raises(ValueError, match="no shard has begun runs/crops"):
        merge_paper([tmp_path / "one"], tmp_path / "out")
    with pytest.raises(ValueError, match="missing"):
        merge_paper([tmp_path / "one"], tmp_path / "one")
    assert not list((tmp_path / "one").rglob("records.parquet")), "all or nothing"
    run.run_paper(asked("two", **some, shard=Shard(1, 2)), make_policy)
    run.run_paper(asked("one", **some, shard=Shard(0, 2)), make_policy)
    for _ in range(2):
        merge_paper([tmp_path / "one", tmp_path / "two"], tmp_path / "one")
    run.run_paper(asked("two", **some), make_policy)
    assert (tmp_path / "two" / run.REPORT).exists(), "the plain command does what is left"


@pytest.mark.slow
def test_pictures_of_all_shards_are_kept(asked: Any, make_policy: Any, tmp_path: Path) -> None:
    for name, figures in (("one", (4, 9)), ("two", (4, 12))):
        run.run_paper(asked(name, only=figures, shard=Shard(0, 2)), make_policy)
    shutil.rmtree(tmp_path / "two/runs")
    run.run_paper(asked("two", only=(4, 12), shard=Shard(1, 2)), make_policy)
    merge_paper([tmp_path / "two", tmp_path / "one"], tmp_path / "out")
    told = json.loads((tmp_path / "out/results.json").read_text())
    assert [picture["figure"] for picture in told["pictures"]] == [9, 12]
    assert {9, 12} <= set(told["figures"])


def test_shares_of_all_runs_are_dealt_out_in_one_go(asked: Any, make_policy: Any) -> None:
    plans = [
        make_plan(run.prepare(asked("out", shard=Shard(index, 4)), make_policy))
        for index in range(4)
    ]
    whole = make_plan(run.prepare(asked("out"), make_policy))
    for lines in zip(*plans, whole, strict=True):
        assert sum(line.images for line in lines[:-1]) == lines[-1].images == 5
    totals = [sum(line.images for line in plan) for plan in plans]
    assert max(totals) - min(totals) <= 2 + 1, "a batch, and the last of a run is smaller"


def test_another_run_and_several_classifiers_are_refused(
    asked: Any, make_policy: Any, make_linear: Any, tmp_path: Path
) -> None:
    small = {"only": (4,), "shard": Shard(0, 9)}
    run.run_paper(asked("one", **small), make_policy)
    run.run_paper(asked("two", **small, seed=1), make_policy)
    with pytest.raises(ValueError, match="two holds another run than .*one, with other seed"):
        merge_paper([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no run of the paper in .*nothing"):
        merge_paper([tmp_path / "one", tmp_path / "nothing"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    judges = {"linear": lambda size: make_linear(size, num_classes=1000)}
    run_across(asked("several", **small), judges, make_policy)
    call = ["merge", str(tmp_path / "several"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli.app, call)
    assert done.exit_code == 1
    assert "put together the folder of each" in done.output
