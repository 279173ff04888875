"""Shards: however work is cut, each part of it is done once, and nobody is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeless import timeless

from saccade_env.evaluation import Shard
from saccade_env.evaluation.plan import FIGURES
from saccade_env.evaluation.store import Store

SAME = ("records.parquet", "summary.json", "plan.json", "run.json", *FIGURES)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 20))
def test_every_block_is_in_one_share_and_shares_are_even(
    blocks: int, count: int, before: int
) -> None:
    shares = [Shard(i, count, before).take(range(blocks)) for i in range(count)]
    assert sorted(block for share in shares for block in share) == list(range(blocks))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 7))
def test_shares_are_even_over_all_settings(settings: list[int], count: int) -> None:
    totals = []
    for index in range(count):
        shard, total = Shard(index, count), 0
        for blocks in settings:
            total += len(shard.take(range(blocks)))
            shard = shard.after(blocks)
        totals.append(total)
    assert max(totals) - min(totals) <= 1


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "1/0", "0/0", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a shard is I/N with I from 0 to N-1"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({}, None),
        ({"RANK": "2", "WORLD_SIZE": "4"}, "2/4"),
        ({"RANK": "2"}, None),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2"}, "0/2"),
        ({"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "3", "RANK": "1",
          "WORLD_SIZE": "4"}, "9/12"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8",
          "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"}, "2/8"),
        ({"SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_COUNT": "3",
          "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_STEP": "2"}, "2/3"),
    ],
)  # fmt: skip
def test_the_environment_tells_the_shard(variables: dict[str, str], shard: str | None) -> None:
    assert Shard.of_environment(variables) == (shard and Shard.parse(shard))


@pytest.mark.parametrize(("task", "step"), [("7", "1"), ("3", "2")])
def test_an_uneven_array_is_refused(task: str, step: str) -> None:
    array = {"ID": task, "COUNT": "3", "MIN": "2", "STEP": step}
    with pytest.raises(ValueError, match="say which shard this is by --shard I/N"):
        Shard.of_environment({f"SLURM_ARRAY_TASK_{key}": value for key, value in array.items()})


def test_an_array_without_a_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$SLURM_ARRAY_TASK_ID is '', no whole number"):
        Shard.of_environment({"SLURM_ARRAY_TASK_COUNT": "2"})


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("text", ["", "x", "-1"])
def test_a_variable_that_is_no_number_is_named(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"\${name} is '{text}', no whole number"):
        Shard.of_environment({"RANK": "0", "WORLD_SIZE": "2", name: text})


def test_a_shard_does_its_share_once(run: Any, tmp_path: Path) -> None:
    told: list[int] = []
    first = run(tmp_path, "0/2", progressed=told.append)
    assert first.records["image"].nunique() == 4
    assert "results" not in first.summary
    assert sum(told) == 4 * 2
    again = run(tmp_path, "0/2", progressed=told.append)
    assert sum(told) == 4 * 2, "what is finished is not done again"
    pd.testing.assert_frame_equal(again.records, first.records)
    assert not (tmp_path / "records.parquet").exists()


@pytest.mark.slow
def test_a_run_may_be_cut_anew_and_ended_by_the_plain_command(run: Any, tmp_path: Path) -> None:
    told: list[int] = []
    run(tmp_path / "shared", "1/2")
    run(tmp_path / "shared", "0/3", progressed=told.append)
    assert sum(told) == 2 * 2, "of its two blocks one was finished, whoever did it"
    run(tmp_path / "shared", progressed=told.append)
    assert sum(told) == 4 * 2
    run(tmp_path / "plain")
    left, right = (tmp_path / name / "records.parquet" for name in ("shared", "plain"))
    assert left.read_bytes() == right.read_bytes()


def test_shards_write_side_by_side_and_nobody_else(tmp_path: Path) -> None:
    one, other = Shard(0, 2), Shard(1, 2)
    with Store(tmp_path, {}, shard=one) as first, Store(tmp_path, {}, shard=other) as second:
        for name in ("a.png", "b.png"):
            (first if name == "a.png" else second).claim(name)
        for shard in (one, Shard(0, 1)):
            with pytest.raises(BlockingIOError, match="another process is writing"):
                Store(tmp_path, {}, shard=shard)
        with pytest.raises(BlockingIOError, match="another process is writing"):
            Store(tmp_path, {"another": "run"}, overwrite=True, shard=Shard(0, 3))
    (tmp_path / ".saccade-lock-notes").write_text("the user's")
    with Store(tmp_path, {}):
        kept = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert {"a.png", "b.png"} <= {*kept}
    assert [path.name for path in tmp_path.glob(".*")] == [".saccade-lock-notes"]


@pytest.mark.slow
def test_the_command_as_an_array_of_tasks(tmp_path: Path) -> None:
    """The sample, as a Slurm array would do it, side by side; equal to the byte."""
    call = [
        *(sys.executable, "-m", "saccade_env.cli"),
        *("evaluate", "--images", "sample", "--no-gif"),
        *("--classifier", "efficientnet_lite0", "--policy", "random", "--policy", "gbvs"),
        *("--batch-size", "4", "--out"),
    ]
    subprocess.run([*call, str(tmp_path / "plain")], check=True, capture_output=True)
    count, out = 4, tmp_path / "cut"
    array = {"SLURM_ARRAY_TASK_COUNT": str(count), "SLURM_ARRAY_TASK_MIN": "1"}
    tasks = [
        subprocess.Popen(
            [*call, str(out)],
            env={**os.environ, **array, "SLURM_ARRAY_TASK_ID": str(task)},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for task in range(1, count + 1)
    ]  # fmt: skip
    said = [task.communicate(timeout=300)[0] for task in tasks]
    assert all(f"shard {i}/{count} is done" in text for i, text in enumerate(said)), said
    put = [*call[:3], "merge", str(out), "--out", str(out)]
    subprocess.run(put, check=True, capture_output=True)
    for name in SAME:
        assert timeless(out / name) == timeless(tmp_path / "plain" / name)
