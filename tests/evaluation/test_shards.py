"""Shards: however a run is cut, and wherever its parts lie, it is the same in the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_env import policies
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import Evaluation, Shard, evaluate, merge
from saccade_env.evaluation.plan import FIGURES
from saccade_env.evaluation.store import Store
from saccade_env.images import BrokenImageError
from saccade_env.images.derived import Derived

TASK = SaccadeConfig(max_saccades=3)
SAME = ("records.parquet", "summary.json", "plan.json", "run.json", *FIGURES)


class Broken(Derived):
    """The same pictures, of which some cannot be read."""

    def __init__(self, source: Any, *broken: int) -> None:
        super().__init__(source)
        self.broken = broken

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> Any:
        if i in self.broken:
            raise BrokenImageError(f"picture {i} is broken")
        return self._source[i]

    def id(self, i: int) -> str:
        return self._source.id(i)


@pytest.fixture
def run(sample: Any, linear: Classifier) -> Any:
    """Evaluates seven pictures, two at a time."""
    fixed = [policies.create("random"), policies.create("centre")]

    def run(out: Path, shard: str = "0/1", source: Any = sample, **more: Any) -> Evaluation:
        keywords: dict[str, Any] = {"config": TASK, "batch_size": 2, "progress": False, **more}
        return evaluate(fixed, source, linear, out=out, shard=Shard.parse(shard), **keywords)

    return run


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


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    "count", [3, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 2, 7))]
)
def test_the_whole_is_the_same_however_it_is_cut(
    count: int, apart: bool, run: Any, tmp_path: Path
) -> None:
    whole = run(tmp_path / "plain")
    folders = [tmp_path / f"shard-{i if apart else 0}" for i in range(count)]
    for index in reversed(range(count)):
        run(folders[index], f"{index}/{count}")
    merged = merge([*dict.fromkeys(folders)], tmp_path / "merged")
    for name in SAME:
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    pd.testing.assert_frame_equal(merged.records, whole.records)
    assert merged.summary == whole.summary


def test_a_shared_folder_becomes_the_whole_itself(run: Any, tmp_path: Path) -> None:
    run(tmp_path / "plain")
    for index in range(3):
        run(tmp_path / "shared", f"{index}/3")
    merge([tmp_path / "shared"], tmp_path / "shared")
    merge([tmp_path / "shared"], tmp_path / "shared")
    left, right = (
        {path.relative_to(tmp_path / name): path.read_bytes()
         for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("plain", "shared")
    )  # fmt: skip
    assert left == right


@pytest.mark.slow
def test_putting_together_may_be_repeated_into_one_of_the_folders(run: Any, tmp_path: Path) -> None:
    folders = [tmp_path / str(index) for index in range(3)]
    for index, folder in enumerate(folders):
        run(folder, f"{index}/3")
    once = merge(folders, folders[1])
    pd.testing.assert_frame_equal(merge(folders, folders[1]).records, once.records)
    with pytest.raises(ValueError, match="double"):
        merge(folders, tmp_path / "out")


@pytest.mark.slow
def test_stopping_curves_are_of_what_was_asked(run: Any, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"stop_at": (0.2, 0.4), "patience": 2}
    run(tmp_path / "plain", **asked)
    run(tmp_path / "a", "0/2")
    run(tmp_path / "a", "1/2")
    merge([tmp_path / "a"], tmp_path / "out", **asked)
    for name in SAME:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    with pytest.raises(ValueError, match="patience must be"):
        merge([tmp_path / "a"], tmp_path / "none", patience=0)


@pytest.mark.slow
def test_folders_may_be_copied_into_one(run: Any, tmp_path: Path) -> None:
    run(tmp_path / "plain")
    for index in range(2):
        run(tmp_path / str(index), f"{index}/2")
        shutil.copytree(tmp_path / str(index), tmp_path / "one", dirs_exist_ok=True)
    merge([tmp_path / "one"], tmp_path / "merged")
    left, right = (tmp_path / name / "records.parquet" for name in ("merged", "plain"))
    assert left.read_bytes() == right.read_bytes()


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


def test_more_shards_than_blocks(run: Any, tmp_path: Path) -> None:
    assert run(tmp_path, "5/9").records.empty
    with pytest.raises(ValueError, match=r"missing in .*: 7 of 7 images"):
        merge([tmp_path], tmp_path)


def test_what_is_missing_is_named(run: Any, sample: Any, tmp_path: Path) -> None:
    run(tmp_path, "0/4")
    run(tmp_path, "2/4")
    lacking = ", ".join(sample.id(i) for i in (2, 3, 6))
    with pytest.raises(ValueError, match=f"3 of 7 images: {lacking}; run the shards again"):
        merge([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_double_is_named(run: Any, sample: Any, tmp_path: Path) -> None:
    run(tmp_path / "a", "0/2")
    run(tmp_path / "b", "0/3")
    run(tmp_path / "c", "1/2")
    folders = [tmp_path / name for name in "abc"]
    with pytest.raises(ValueError, match=r"double in .*move one of the files away") as refused:
        merge(folders, tmp_path / "out")
    said = str(refused.value)
    assert all(f"{sample.id(i)} ({tmp_path / 'a'}" in said for i in (0, 1)), said
    assert f"{sample.id(6)} ({tmp_path / 'b'}" in said, said
    with pytest.raises(ValueError, match="a is given twice"):
        merge([tmp_path / "a", tmp_path / "b" / ".." / "a"], tmp_path / "out")


def test_another_runs_shard_is_named(run: Any, tmp_path: Path) -> None:
    run(tmp_path / "a", "0/2")
    run(tmp_path / "b", "1/2", seed=1)
    with pytest.raises(ValueError, match="b holds another run than .*a, with other seed"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    part = next((tmp_path / "b" / "parts").iterdir())
    shutil.copy(part, tmp_path / "a" / "parts")
    with pytest.raises(OSError, match=f"{part.name} cannot be used: it is of another run"):
        merge([tmp_path / "a"], tmp_path / "out")
    with pytest.raises(FileExistsError, match="out holds another run"):
        run(tmp_path / "c")
        run(tmp_path / "out", seed=2)
        merge([tmp_path / "c"], tmp_path / "out")


def test_a_half_written_part_is_named(run: Any, tmp_path: Path) -> None:
    run(tmp_path, "0/2")
    run(tmp_path, "1/2")
    part = next((tmp_path / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(OSError, match=f"{part.name} cannot be used: it is damaged"):
        merge([tmp_path], tmp_path / "out")


@pytest.mark.parametrize(
    "damage", [{"images": ["a"]}, {"optional": 3}, {"images": 7}, {"optional": ["x"]}, "reversed"]
)
def test_a_damaged_plan_is_named(damage: Any, run: Any, tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / "plan.json"
    kept = json.loads(path.read_text())
    changed = {"images": kept["images"][::-1]} if damage == "reversed" else damage
    path.write_text(json.dumps({**kept, **changed}))
    with pytest.raises(OSError, match=r"plan.json does not hold"):
        merge([tmp_path], tmp_path / "out")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"plan.json"):
        merge([tmp_path], tmp_path / "out")


@pytest.mark.slow
def test_images_that_cannot_be_read_are_counted_and_not_missing(
    run: Any, sample: Any, tmp_path: Path
) -> None:
    source = Broken(sample, 1, 2, 3)
    run(tmp_path / "plain", source=source, on_error="skip")
    for index in (1, 0):
        run(tmp_path / "shared", f"{index}/2", source, on_error="skip")
    merged = merge([tmp_path / "shared"], tmp_path / "merged")
    assert [one["image"] for one in merged.summary["skipped"]] == [sample.id(i) for i in (1, 2, 3)]
    assert merged.records["image"].nunique() == 4
    for name in SAME:
        left, right = (tmp_path / folder / name for folder in ("merged", "plain"))
        assert left.read_bytes() == right.read_bytes()
    source.broken = (2,)
    mended = run(tmp_path / "merged", source=source, on_error="skip")
    assert [one["image"] for one in mended.summary["skipped"]] == [sample.id(2)]


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
def test_the_command_on_real_images(shared: Path, tmp_path: Path) -> None:
    """Sixty images, as a Slurm array would do them, side by side; equal to the byte."""
    call = [
        *(sys.executable, "-m", "saccade_env.cli"),
        *("evaluate", "--images", str(shared / "imagenet" / "val"), "--limit", "60", "--no-gif"),
        *("--classifier", "efficientnet_lite0", "--policy", "random", "--policy", "gbvs"),
        *("--batch-size", "8", "--out"),
    ]
    subprocess.run([*call, str(tmp_path / "plain")], check=True, capture_output=True)
    for count in (2, 3, 7):
        out = tmp_path / f"cut-{count}"
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
            assert (out / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
