"""Fixations in the formats that data sets have."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from recordings import (
    BLINKS,
    GRID,
    PATCH,
    SCREEN,
    SIZE,
    SIZES,
    Looks,
    as_csv,
    as_hdf5,
    as_json,
    inside_the_crop,
    on_screen,
    pictures,
    quietly,
    read,
    trains,
)
from typer.testing import CliRunner

from saccade_env import cli, images
from saccade_env.evaluation.human import compare_maps, compare_scanpaths
from saccade_env.images import Collection, Preprocess

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'saccade-env[human]'")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return pictures(tmp_path_factory.mktemp("pictures"))


def test_every_format_gives_the_same_metrics(tmp_path: Path, source: Collection) -> None:
    looks = inside_the_crop()
    fixations, stimuli = as_hdf5(tmp_path, looks)
    (newer := tmp_path / "newer").mkdir()
    found = [
        quietly(as_csv(tmp_path / "original.csv", looks), source, unit="original"),
        quietly(as_json(tmp_path / "a.json", on_screen(looks, (1050, 1680))), source),
        quietly(as_json(tmp_path / "b.txt", on_screen(looks)), source, screen=SCREEN),
        quietly(as_csv(tmp_path / "s.csv", on_screen(looks)), source, screen=SCREEN),
        quietly(fixations, source, stimuli=stimuli),
        quietly(as_hdf5(newer, looks, new=True)[0], source, stimuli=stimuli),
    ]
    tokens: Looks = {}
    for (image, subject), places in looks.items():  # by hand: resize, then cut
        height, width = SIZES[image]
        scale = max(36 / min(height, width), 32 / height, 48 / width)
        tall, wide = round(height * scale), round(width * scale)
        top, left = round((tall - 32) / 2), round((wide - 48) / 2)
        tokens[f"n02123045/{image}", subject] = [
            ((y * tall / height - top) / 8 - 0.5, (x * wide / width - left) / 8 - 0.5)
            for y, x in places
        ]
    expected = read(as_csv(tmp_path / "tokens.csv", tokens, "row,col"), source)
    images = [source.id(i) for i in range(len(source))]
    maps = torch.rand(len(images), *GRID, generator=torch.Generator().manual_seed(0))
    records = expected.rename(columns={"subject": "policy", "order": "saccade"})
    for one in found:
        pd.testing.assert_frame_equal(one, expected, atol=1e-8, rtol=0)
        for compared in (
            lambda looked: compare_maps(maps, images, looked, samples=20),
            lambda looked: compare_scanpaths(records, looked, GRID, samples=20),
        ):
            pd.testing.assert_frame_equal(compared(one).mean, compared(expected).mean)


def test_blinks_are_refused_or_skipped_and_counted(tmp_path: Path, source: Collection) -> None:
    lines = ["image,subject,order,x,y", "000000000003.png,1,0,25,25", "000000000003.png,1,1,,",
             "000000000003.png,1,7,26,26", ",,,,"]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(lines))
    nothing = as_json(tmp_path / "null.json", BLINKS)
    nothing.write_text(nothing.read_text().replace("NaN", "null"))
    fixations, stimuli = as_hdf5(tmp_path, BLINKS)
    for file, count, where, keywords in (
        (tmp_path / "a.csv", 2, "line 3: y .*got ''", {"unit": "original"}),
        (as_json(tmp_path / "a.json", BLINKS), 1, "record 1, fixation 2: y", {"screen": (50, 50)}),
        (nothing, 1, "record 1, fixation 2: y .*got nan", {"screen": (50, 50)}),
        (fixations, 1, "scanpath 1, fixation 2: y", {"stimuli": stimuli}),
    ):
        with pytest.raises(ValueError, match=f"{file}, {where}.*“drop” skips blinks"):
            read(file, source, **keywords)
        with pytest.warns(UserWarning, match=f"{count} fixations without a position; dropped"):
            found = read(file, source, missing="drop", **keywords)
        assert found["row"].tolist() == pytest.approx([1.5, 1.5 + 48 / 50 / 8])
        assert found.attrs["missing"] == count
    wrong = as_csv(tmp_path / "b.csv", {("a", "1"): [(math.inf, 0)]})
    with pytest.raises(ValueError, match="line 2: y must be a finite number; got 'inf' .1 such.$"):
        read(wrong, source, missing="drop")


def test_tasks_are_not_mixed(tmp_path: Path, source: Collection) -> None:
    name = "000000000003.png"
    file, looks = tmp_path / "a.json", {(name, "1"): [(25.0, 25.0)]}
    records = [
        *json.loads(as_json(file, looks, task="bottle").read_text()),
        *json.loads(as_json(file, looks, task="stop sign").read_text()),
    ]
    file.write_text(json.dumps(records))
    with pytest.raises(
        ValueError, match=f"on 'bottle/{name}', 'stop sign/{name}', and among .*--ta"
    ):
        read(file, source, screen=(50, 50))
    found = quietly(file, source, screen=(50, 50), task="stop sign")
    assert found["image"].tolist() == [f"n02123045/{name}"]
    with pytest.raises(
        ValueError, match="no record has the task 'cup'; tasks are: bottle, stop sign"
    ):
        read(file, source, task="cup")


RECORD = {"name": "000000000003.png", "subject": 1, "X": [1.0], "Y": [2.0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{]", "a.json, line 1: this is no JSON"),
        (b"\xff", "a.json, line 1: this is no JSON file in UTF-8"),
        ({"a": 1}, "expected a list of records; got dict"),
        ([], "has no fixations"),
        ([RECORD, 3], "record 2: expected name, subject, X and Y; found: int"),
        ([{"name": "a", "x": [1]}], "record 1: expected name, subject, X and Y; found: name, x"),
        ([RECORD, {**RECORD, "X": [1.0, 2.0]}], "record 2: 2 values of X, 1 of Y"),
        ([{**RECORD, "X": ["1"]}], r"record 1: X must be a list of numbers; got \['1'\]"),
        ([{**RECORD, "Y": [True]}], "record 1: Y must be a list of numbers"),
        (
            [{**RECORD, "subject": None}],
            "record 1: subject must be text or a whole number; got None",
        ),
        ([{**RECORD, "name": 5}], "record 1: name must be text; got 5"),
        ([RECORD, RECORD], "record 2, fixation 1: image '000000000003.png', subject '1', order 0"),
        ([RECORD], "x and y are all within 512×320.*--screen 512x320 or 1680x1050"),
    ],
)
def test_a_bad_json_is_refused(
    tmp_path: Path, source: Collection, content: Any, message: str
) -> None:
    file = tmp_path / "a.json"
    raw = content if isinstance(content, (str, bytes)) else json.dumps(content)
    file.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    screen = None if content == [RECORD] else (50, 50)
    with pytest.raises(ValueError, match=message):
        read(file, source, screen=screen)


def change(path: Path, name: str, values: Any) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file.create_dataset(name, data=values)


@pytest.mark.parametrize(
    ("which", "name", "values", "message"),
    [
        (0, "train_subjects", None, "fixations.hdf5: expected scanpaths .*got 'FixationTrains'"),
        (0, "train_ns", [0], "fixations.hdf5: xs, ys, n and subjects differ in length: 6, 6, 1, 6"),
        (0, "train_ns", [0, 0, 1, 1, 2, 3], "scanpath 6: it is on stimulus 3, but .* has 3"),
        (0, "train_ys", np.zeros((6, 3)), "scanpath 1: 4 values of xs, 3 of ys"),
        (1, "shapes", None, "stimuli.hdf5: expected stimuli of pysaliency .*got 'FileStimuli'"),
        (1, "shapes", [[60, 90]], "stimuli.hdf5: 3 file names, 1 shapes"),
        (1, "shapes", [[60, 90], [60, 60], [50, 50]], "is 90×60 pixels, but the stimulus 60×60"),
    ],
)
def test_a_bad_hdf5_is_refused(
    tmp_path: Path, source: Collection, which: int, name: str, values: Any, message: str
) -> None:
    files = as_hdf5(tmp_path, inside_the_crop())
    change(files[which], name, values)
    with pytest.raises(ValueError, match=message):
        read(files[0], source, stimuli=files[1])


def test_hdf5_needs_both_files_and_h5py(
    tmp_path: Path, source: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixations, stimuli = as_hdf5(tmp_path, inside_the_crop())
    with pytest.raises(ValueError, match="need the stimuli .*--stimuli.; got none for .*fix"):
        read(fixations, source)
    with pytest.raises(ValueError, match="and they alone, .*got some for .*a.csv"):
        read(as_csv(tmp_path / "a.csv", {}), source, stimuli=stimuli)
    with pytest.raises(ValueError, match="stimuli.hdf5: expected scanpaths .*got 'FileStimuli'"):
        read(stimuli, source, stimuli=stimuli)
    (tmp_path / "no.h5").write_text("nothing")
    with pytest.raises(OSError, match="cannot read HDF5 from .*no.h5"):
        read(tmp_path / "no.h5", source, stimuli=stimuli)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="needs h5py: pip install h5py .the extra 'human'."):
        read(fixations, source, stimuli=stimuli)


def test_objects_of_pysaliency_are_as_their_files(tmp_path: Path, source: Collection) -> None:
    looks = inside_the_crop()
    files = as_hdf5(tmp_path, looks)
    expected = quietly(files[0], source, stimuli=files[1])
    arrays = trains(looks)
    old = SimpleNamespace(**{f"train_{name}": values for name, values in arrays.items()})
    new = SimpleNamespace(
        scanpaths=SimpleNamespace(
            xs=[np.array(places)[:, 1] for places in looks.values()],
            ys=[np.array(places)[:, 0] for places in looks.values()],
            n=arrays["ns"],
            length=[*map(len, looks.values())],
            scanpath_attributes={"subject": arrays["subjects"]},
        )
    )
    shapes = [(*size, 3) for size in SIZES.values()]
    stimuli = SimpleNamespace(filenames=[f"/data/{name}" for name in SIZES], shapes=shapes)
    for fixations in (old, new):
        found = quietly(fixations, source, stimuli=stimuli)
        pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(ValueError, match="dict: expected scanpaths of pysaliency"):
        read({}, source, stimuli=stimuli)


def test_stimuli_without_files_are_known_by_their_numbers(tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (60, 40)).save(tmp_path / f"{number}.png")
    stimuli = tmp_path.with_suffix(".h5")
    with h5py.File(stimuli, "w") as file:
        file.attrs["size"] = 2
        for number in range(2):
            file.create_dataset(str(number), data=np.zeros((20, 30, 3), np.uint8))
    looked = SimpleNamespace(train_xs=[[15.0]], train_ys=[[10.0]], train_ns=[1], train_subjects=[4])
    source = images.create(tmp_path, Preprocess(SIZE, mode="squash"))
    with pytest.warns(UserWarning, match="1 of 1 images were found by file name, such as '1' as"):
        found = read(looked, source, stimuli=stimuli)
    assert found.to_numpy().tolist() == [["1.png", "4", 0, 1.5, 2.5]]  # half as large as the file


@pytest.mark.parametrize("screen", ["1680", "1680x", "0x5", "1680,1050"])
def test_a_screen_is_width_times_height(tmp_path: Path, screen: str) -> None:
    file = as_json(tmp_path / "a.json", inside_the_crop())
    done = CliRunner().invoke(cli.app, ["human", str(file), "--screen", screen])
    assert done.exit_code == 2
    assert f"as in 1680x1050; got '{screen}'" in done.output.replace("\n", " ")


@pytest.mark.filterwarnings("ignore:.*a.json")
def test_the_command_says_what_it_read(
    tmp_path: Path, source: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = pd.DataFrame({"policy": []})
    judge = SimpleNamespace(patch_size=PATCH, grid=GRID)
    monkeypatch.setattr("saccade_env.task.open_pair", lambda *_: (source, judge))
    monkeypatch.setattr("saccade_env.evaluation.human.compare", lambda *_, **__: (nothing, nothing))
    looks = inside_the_crop()
    looks["000000000001.png", "1"] += [(math.nan, 1.0), (1.0, 1.0)]
    file = as_json(tmp_path / "a.json", on_screen(looks))
    options = ["--screen", "168x105", "--missing", "drop", "--outside", "drop", "--skip-first", "1",
               "--policy", "centre", "--out", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(cli.app, ["human", str(file), *options])
    assert done.exit_code == 0, done.output
    assert (
        "fixations (COCO JSON, original on a screen of 168×105): 15 on 3 images by 2 subjects; "
        "6 first ones skipped; 1 without a position dropped; 1 outside the image (1 on what the "
        "crop cuts off) dropped"
    ) in done.output
