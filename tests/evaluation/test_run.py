"""The evaluator: every image once, whatever the batch size, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from saccade_env import images, policies
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, stopping, store
from saccade_env.evaluation.records import Part
from saccade_env.images import BrokenImageError
from saccade_env.images.derived import Subset

COLUMNS = [
    "image", "label", "policy", "saccade", "row", "col", "prediction", "correct", "certainty",
    "visible_share", "true_class_probability", "full_prediction", "full_certainty",
    "forwards",
]  # fmt: skip


@pytest.fixture
def fixed() -> list[Any]:
    return [policies.create("random"), policies.create("centre")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty small real pictures without labels."""
    root = tmp_path / "pictures"
    root.mkdir()
    sources = sorted(images.SAMPLE.rglob("*.jpg"))
    for place in range(20):
        picture = Image.open(sources[place % len(sources)])
        picture.rotate(90 * (place // 7)).resize((300, 260)).save(root / f"{place:02d}.jpg")
    return root


def run(policies_: Any, source: Any, classifier: Any, **keywords: Any) -> Any:
    return evaluate(policies_, source, classifier, progress=False, **keywords)


def test_records_and_files(fixed: Any, sample: Any, linear: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(fixed, sample, linear, config=SaccadeConfig(max_saccades=4), out=out, batch_size=3)
    assert list(result.records.columns) == COLUMNS
    counts = result.records.groupby(["image", "policy"])["saccade"].apply(list)
    assert len(counts) == 7 * 2
    assert all(saccades == [1, 2, 3, 4] for saccades in counts)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "records.parquet"), result.records)
    summary = json.loads((out / "summary.json").read_text())
    assert summary == result.summary
    assert summary["classifier"]["weights"]["source"] == "random, seed 0"
    assert summary["policies"]["random"]["seed"] == 0
    assert summary["images"]["identity"] == sample.identity
    assert len(summary["results"]["centre"]["accuracy"]) == 4
    assert {file.name for file in (out / "figures").iterdir()} == {
        f"{name}.png" for name in ("accuracy", "stopping", "stopping_rules", "cost")
    }
    for name in ("accuracy", "stopping"):
        with Image.open(out / "figures" / f"{name}.png") as figure:
            assert figure.size == (1500, 690)
    assert summary["stopping"]["patience"] == 1
    assert len(summary["stopping"]["policies"]["centre"]["saccades"]) == 18
    assert not (out / "parts").exists()


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_results_do_not_depend_on_the_batch_size(fixed: Any, linear: Any, size: int) -> None:
    expected = run(fixed, "sample", linear, batch_size=4, limit=7).records
    records = run(fixed, "sample", linear, batch_size=size, limit=7).records
    pd.testing.assert_frame_equal(records, expected, atol=1e-5, rtol=0)


def test_the_whole_image_is_what_the_classifier_says(sample: Any, linear: Any) -> None:
    import torch

    pictures, _ = images.load_batch(sample, range(7))
    everything = torch.ones(7, 14, 14, dtype=torch.bool)
    expected = linear.classify(linear.begin(pictures), everything)[0].argmax(-1).tolist()
    records = run(
        [policies.create("centre")], sample, linear, config=SaccadeConfig(fovea=13)
    ).records
    assert records[records["saccade"] == 1]["full_prediction"].tolist() == expected


def test_limit_is_a_seeded_sample(fixed: Any, folder: Path, linear: Any) -> None:
    few = [run(fixed, folder, linear, limit=5, seed=s).records["image"].unique() for s in (0, 0, 1)]
    assert [len(chosen) for chosen in few] == [5, 5, 5]
    assert list(few[0]) == list(few[1])
    assert list(few[0]) != list(few[2])
    assert list(few[0]) == sorted(few[0])


def test_without_labels_there_is_no_stopping_figure(
    fixed: Any, folder: Path, linear: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = run(
        fixed, folder, linear, config=SaccadeConfig(max_saccades=2), limit=2, out=out
    ).summary
    assert [path.name for path in (out / "figures").iterdir()] == ["accuracy.png"]
    curve = summary["stopping"]["policies"]["random"]
    assert set(curve["accuracy"]) == {None}
    assert curve["earliest"] is None
    assert stopping.lines(summary) == []


def test_unreadable_images_raise_or_are_counted(fixed: Any, folder: Path, linear: Any) -> None:
    (folder / "07.jpg").write_bytes((folder / "07.jpg").read_bytes()[:900])
    with pytest.raises(BrokenImageError, match="07.jpg"):
        run(fixed, folder, linear)
    result = run(fixed, folder, linear, on_error="skip")
    assert [skipped["image"] for skipped in result.summary["skipped"]] == ["07.jpg"]
    assert result.records["image"].nunique() == 19
    assert result.summary["full_image"]["images"] == 19


def test_an_interrupted_run_goes_on(
    fixed: Any, folder: Path, linear: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    expected = run(fixed, folder, linear, batch_size=4).records
    classified: list[int] = []
    begin = linear.begin

    def counting(pictures: Any) -> Any:
        if sum(classified) >= 8 and not (out / "resumed").exists():
            raise KeyboardInterrupt
        if (out / "plan.json").exists():  # what the policies cost is measured before, and once
            classified.append(len(pictures))
        return begin(pictures)

    monkeypatch.setattr(linear, "begin", counting)
    with pytest.raises(KeyboardInterrupt):
        run(fixed, folder, linear, batch_size=4, out=out)
    assert len(list((out / "parts").glob("*.parquet"))) == 2
    (out / "resumed").touch()
    resumed = run(fixed, folder, linear, batch_size=3, out=out)
    assert sum(classified) == 20, "finished images are not evaluated again"
    pd.testing.assert_frame_equal(resumed.records, expected, atol=1e-5, rtol=0)
    monkeypatch.setattr(linear, "begin", None)  # would be called in vain
    again = run(fixed, folder, linear, out=out)
    assert again.summary == resumed.summary, "a finished run has nothing left to do"
    pd.testing.assert_frame_equal(again.records, resumed.records)


def test_another_run_is_refused_or_overwritten(
    fixed: Any, sample: Any, linear: Any, tmp_path: Path
) -> None:
    run(fixed, sample, linear, config=SaccadeConfig(max_saccades=3), out=tmp_path)
    with pytest.raises(FileExistsError, match="holds another run, with other config, seed"):
        run(fixed, sample, linear, config=SaccadeConfig(max_saccades=2), seed=1, out=tmp_path)
    result = run(
        fixed,
        sample,
        linear,
        config=SaccadeConfig(max_saccades=2),
        seed=1,
        out=tmp_path,
        overwrite=True,
    )
    assert pd.read_parquet(tmp_path / "records.parquet")["saccade"].max() == 2
    assert len(result.records) == 7 * 2 * 2


def test_a_full_disk_loses_nothing(
    fixed: Any, folder: Path, linear: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, writes = tmp_path / "out", os.replace, []

    def full(source: Any, target: Any) -> None:
        writes.append(target)
        if len(writes) == 6:  # the manifest, the run, its plan, two parts, and this one
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr("saccade_env.files.os.replace", full)
    with pytest.raises(OSError, match="No space left on device; what is finished is kept"):
        run(fixed, folder, linear, batch_size=5, out=out)
    assert not list(out.rglob(".*"))
    assert len(list((out / "parts").glob("*.parquet"))) == 2
    monkeypatch.undo()
    resumed = run(fixed, folder, linear, out=out)
    expected = run(fixed, folder, linear)
    pd.testing.assert_frame_equal(resumed.records, expected.records, atol=1e-5, rtol=0)


def test_unwritable_output_is_refused_before_anything_is_computed(
    fixed: Any, sample: Any, linear: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            run(fixed, sample, linear, out=out)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["summary.json", "records.parquet", "figures/stopping.png", "my.gif"]
)
def test_foreign_files_are_refused_before_anything_is_computed(
    name: str, overwrite: bool, fixed: Any, sample: Any, linear: Any, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("the user's")
    told: list[int] = []
    with pytest.raises(FileExistsError, match=f"{name} is not known to be a run's own"):
        run(
            fixed, sample, linear, out=tmp_path, overwrite=overwrite, files=["my.gif"],
            progressed=told.append,
        )  # fmt: skip
    assert not told
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_records_of_a_run_are_refused_when_they_cannot_be_its_own(
    fixed: Any, sample: Any, linear: Any, tmp_path: Path
) -> None:
    task = SaccadeConfig(max_saccades=2)
    made = run(fixed, sample, linear, config=task, out=tmp_path)
    with store.Store(tmp_path, json.loads((tmp_path / "run.json").read_text())) as opened:
        opened.finish(Part(made.records[made.records["saccade"] == 1]))
    with pytest.raises(OSError, match=r"records.parquet cannot be used: an image lacks"):
        run(fixed, sample, linear, config=task, out=tmp_path)
    mended = run(fixed, sample, linear, config=task, out=tmp_path, overwrite=True)
    pd.testing.assert_frame_equal(mended.records, made.records)


def test_equal_ids_are_refused(fixed: Any, sample: Any, linear: Any) -> None:
    with pytest.raises(ValueError, match=r"2 ids of 'sample' stand for several.* for 2; an image"):
        run(fixed, Subset(sample, [0, 1, 2, 1, 0]), linear)


def test_refused_values_leave_no_folder(
    fixed: Any, sample: Any, linear: Any, tmp_path: Path
) -> None:
    for wrong in ({"limit": 0}, {"batch_size": 0}, {"patience": 0}):
        with pytest.raises(ValueError, match="must be ≥ 1; got 0"):
            run(fixed, sample, linear, out=tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_bad_values_are_refused(fixed: Any, sample: Any, linear: Any) -> None:
    with pytest.raises(ValueError, match="batch_size must be ≥ 1; got 0"):
        run(fixed, sample, linear, batch_size=0)
    with pytest.raises(ValueError, match="limit must be ≥ 1; got 0"):
        run(fixed, sample, linear, limit=0)
    with pytest.raises(ValueError, match="policies with different names"):
        run([fixed[0], fixed[0]], sample, linear)
    with pytest.raises(ValueError, match="one or more policies"):
        run([], sample, linear)
    with pytest.raises(ValueError, match="give the policy the classifier's grid"):
        run([policies.create("centre", grid=(7, 7))], sample, linear)


@pytest.mark.slow
def test_a_killed_run_goes_on(folder: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of the real command; the resumed records equal an unbroken run's."""
    call = [
        *(sys.executable, "-m", "saccade_env.cli", "evaluate", "--images", str(folder)),
        *("--policy", "centre", "--classifier", "efficientnet_lite0", "--saccades", "2"),
        *("--batch-size", "1", "--no-gif", "--out"),
    ]
    out = tmp_path / "out"
    process = subprocess.Popen([*call, str(out)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((out / "parts").glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(list((out / "parts").glob("*.parquet")))
    assert 3 <= kept < 20
    assert not (out / "summary.json").exists()
    subprocess.run([*call, str(out)], check=True, capture_output=True)
    whole = tmp_path / "whole"
    (whole / "figures").mkdir(parents=True)
    (whole / "figures" / "own.png").touch()  # an output folder may hold other files
    subprocess.run([*call, str(whole)], check=True, capture_output=True)
    left, right = ((place / "records.parquet").read_bytes() for place in (out, whole))
    assert left == right
