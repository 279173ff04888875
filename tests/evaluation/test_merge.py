"""Shards put together: the same run, wherever its parts lie, or it is said what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from timeless import timeless

from saccade_env.evaluation import merge
from saccade_env.evaluation.plan import FIGURES
from saccade_env.images import BrokenImageError
from saccade_env.images.derived import Derived

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
        assert timeless(tmp_path / "merged" / name) == timeless(tmp_path / "plain" / name)
    pd.testing.assert_frame_equal(merged.records, whole.records)
    assert merged.summary == json.loads((tmp_path / "merged" / "summary.json").read_text())
    times = [own["policy_ms"] for own in merged.summary["cost"].values()]
    assert count == 1 or min(times) >= 0, "a whole run holds them in its summary alone"


@pytest.mark.slow
def test_a_shared_folder_becomes_the_whole_itself(run: Any, tmp_path: Path) -> None:
    run(tmp_path / "plain")
    for index in range(3):
        run(tmp_path / "shared", f"{index}/3")
    merge([tmp_path / "shared"], tmp_path / "shared")
    merge([tmp_path / "shared"], tmp_path / "shared")
    left, right = (
        {path.relative_to(tmp_path / name): timeless(path)
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
        assert timeless(tmp_path / "out" / name) == timeless(tmp_path / "plain" / name)
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
        assert timeless(left) == timeless(right)
    source.broken = (2,)
    mended = run(tmp_path / "merged", source=source, on_error="skip")
    assert [one["image"] for one in mended.summary["skipped"]] == [sample.id(2)]
