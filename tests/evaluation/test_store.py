"""The folder of a run: nothing foreign is touched, nothing is mixed in, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saccade_env import policies
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, locks, store
from saccade_env.evaluation.part_file import read_whole
from saccade_env.evaluation.records import COLUMNS, Part, check_records
from saccade_env.evaluation.store import Store

RUN = {"config": {"fovea": 3}, "seed": 0}
OTHER = {"config": {"fovea": 5}, "seed": 0}
TABLE = pd.DataFrame({"image": ["a", "b"], "label": [1, 2], "certainty": [0.25, np.nan]})
NAMES = ("summary.json", "figures/accuracy.png")
KINDS = SaccadeConfig(max_saccades=2)


def filled(folder: Path, run: dict[str, Any] = RUN, finished: bool = True) -> Path:
    """A folder as a run leaves it, or as a killed one does."""
    with Store(folder, run, files=NAMES) as opened:
        opened.add(Part(TABLE[:1]))
        opened.add(Part(TABLE[1:]))
        if finished:
            opened.finish(Part(TABLE))
            for name in NAMES:
                opened.write_json(name, {})
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def foreign(folder: Path) -> dict[str, bytes]:
    """A thesis, with folders and temporaries named as a run's are, but none of its files."""
    for name in ("thesis.tex", "chapter.tmp", "figures/a.tmp", "figures/plot.png", "parts/wheel"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return contents(folder)


def test_a_run_killed_while_it_wrote_a_part_goes_on(tmp_path: Path) -> None:
    leftover = (
        filled(tmp_path, finished=False) / "parts" / f".saccade-0123456789ab-{'0' * 32}.parquet"
    )
    leftover.write_bytes(b"PAR1")
    with Store(tmp_path, RUN, files=NAMES) as opened:
        assert sum(len(part.records) for part in opened.read()) == len(TABLE)
    assert not leftover.exists()


def test_what_is_not_ours_survives_everything(tmp_path: Path) -> None:
    before = foreign(tmp_path)
    filled(tmp_path)
    leftover = tmp_path / "figures" / ".saccade-0123456789ab-accuracy.png"
    leftover.touch()
    with Store(tmp_path, OTHER, overwrite=True, files=NAMES) as opened:
        assert opened.read() == []
    assert not leftover.exists()
    after = contents(tmp_path)
    assert {*after} - {*before} == {"manifest.json", "run.json"}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["summary.json", "records.parquet", "figures/accuracy.png", "run.json",
             "manifest.json", "parts/wheel.parquet", "figures", "parts"],
)  # fmt: skip
def test_foreign_files_are_refused(name: str, overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("[]" if name.endswith(".json") else "foreign")
    before = contents(tmp_path)
    with pytest.raises(OSError, match=rf"{name}.*choose another output folder"):
        Store(tmp_path, RUN, overwrite, NAMES)
    assert contents(tmp_path) == before


def test_a_foreign_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"name": "marathon"}')
    with pytest.raises(FileExistsError, match="another output folder$"):
        Store(tmp_path, RUN)
    with pytest.raises(FileExistsError, match="run.json is not known"):
        Store(tmp_path, RUN, overwrite=True)
    assert contents(tmp_path) == {"run.json": b'{"name": "marathon"}'}


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "\0"])
def test_a_damaged_run_is_named_and_can_be_overwritten(text: str, tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "thesis.tex").touch()
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(OSError, match="run.json cannot be read.*overwrite"):
        Store(tmp_path, RUN, files=NAMES)
    with Store(tmp_path, OTHER, overwrite=True, files=NAMES):
        assert {*contents(tmp_path)} - {locks.LOCK} == {"manifest.json", "run.json", "thesis.tex"}


@pytest.mark.parametrize("finished", [False, True])
def test_a_lost_run_is_known_all_the_same(finished: bool, tmp_path: Path) -> None:
    filled(tmp_path, finished=finished)
    (tmp_path / "run.json").unlink()
    with pytest.raises(FileExistsError, match="holds another run; choose.*or overwrite"):
        Store(tmp_path, OTHER, files=NAMES)
    with Store(tmp_path, RUN, files=NAMES) as opened:
        found = pd.concat(part.records for part in opened.read()).sort_values(
            "image", ignore_index=True
        )
    pd.testing.assert_frame_equal(found, TABLE)
    assert json.loads((tmp_path / "run.json").read_text()) == RUN
    for name in ("run.json", "manifest.json"):
        (tmp_path / name).unlink()
    with pytest.raises(FileExistsError, match="not known to be a run's own"):
        Store(tmp_path, OTHER, overwrite=True, files=NAMES)


def test_a_lost_or_damaged_manifest_is_made_again(tmp_path: Path) -> None:
    manifest = filled(tmp_path) / "manifest.json"
    listed = json.loads(manifest.read_text())["files"]
    assert listed == sorted(["manifest.json", "run.json", "records.parquet", *NAMES])
    for damage in ("", '{"made_by": "saccade-env"}', json.dumps({"files": ["../thesis.tex"]})):
        manifest.write_text(damage)
        with pytest.raises(FileExistsError):
            Store(tmp_path, OTHER, overwrite=True, files=NAMES)
        filled(tmp_path)
        assert json.loads(manifest.read_text())["files"] == listed


@pytest.mark.parametrize("name", ["../thesis.tex", "/thesis.tex", "a\\b", ""])
def test_a_manifest_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside the output folder"):
        Store(tmp_path, RUN, files=[name])
    assert not list(tmp_path.iterdir())


def test_stores_inside_are_dropped_too(tmp_path: Path) -> None:
    before = foreign(tmp_path)
    with Store(tmp_path, RUN, files=["runs/fovea-3/", "runs/none/"]) as opened:
        filled(tmp_path / "runs" / "fovea-3")
        (tmp_path / "runs" / "my-agent").mkdir()
        (tmp_path / "runs" / "my-agent" / "agent.json").touch()
        opened.claim("results.json")
        opened.write_json("results.json", {})
        with pytest.raises(FileExistsError, match="thesis.tex is not known"):
            opened.claim("thesis.tex")
    with Store(tmp_path, OTHER, overwrite=True):
        pass
    left = {*contents(tmp_path)} - {*before}
    assert left == {"manifest.json", "run.json", "runs/my-agent/agent.json"}
    assert not (tmp_path / "runs" / "fovea-3").exists()


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, broken = filled(tmp_path) / "records.parquet", [{"image": "c", "reason": "it is broken"}]
    with Store(tmp_path, RUN, files=NAMES) as opened:
        opened.finish(Part(TABLE, broken))
    whole, random = path.read_bytes(), np.random.default_rng(0)
    noticed: list[str] = []
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        with Store(tmp_path, RUN, files=NAMES) as opened:
            try:
                [found] = opened.read()
                pd.testing.assert_frame_equal(found.records, TABLE)
                assert found.broken == broken
            except OSError as error:
                noticed.append(str(error))
    assert len(noticed) > 50
    assert all("records.parquet cannot be used: it" in message for message in noticed)
    with Store(tmp_path, RUN, overwrite=True, files=NAMES) as opened:
        path.write_bytes(whole[:100])
        assert opened.read() == []


def test_a_file_of_another_run_is_never_resumed_from(tmp_path: Path) -> None:
    other = next((filled(tmp_path / "other", OTHER, finished=False) / "parts").iterdir())
    strangers = {"f" * 32 + ".parquet": other.read_bytes(), "0" * 32 + ".parquet": b"PAR1"}
    TABLE.to_parquet(tmp_path / "plain")
    strangers["a" * 32 + ".parquet"] = (tmp_path / "plain").read_bytes()
    for name, data in strangers.items():
        part = filled(tmp_path / name, finished=False) / "parts" / name
        part.write_bytes(data)
        refused = pytest.raises(OSError, match=f"{name} cannot be used: .*move it away")
        with Store(tmp_path / name, RUN) as opened, refused:
            opened.read()
        assert part.read_bytes() == data
    with pytest.raises(OSError, match="plain cannot be used: its metadata name no run"):
        read_whole(tmp_path / "plain")


@pytest.mark.slow
def test_another_process_is_kept_out(tmp_path: Path) -> None:
    script = f"from saccade_env.evaluation.store import Store; Store({str(tmp_path)!r}, {{}})"
    with Store(tmp_path, RUN):
        before = contents(tmp_path)
        call = [sys.executable, "-c", script]
        ended = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path.parent)
        assert "BlockingIOError: another process is writing to" in ended.stderr
        assert contents(tmp_path) == before
    assert not (tmp_path / locks.LOCK).exists()
    Store(tmp_path, RUN).close()


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious.json"
    precious.write_text("{}")
    out.mkdir()
    for target in (precious, tmp_path / "missing"):
        (out / "summary.json").symlink_to(target)
        with pytest.raises(FileExistsError, match=r"summary.json is not known"):
            Store(out, RUN, overwrite=True, files=NAMES)
        (out / "summary.json").unlink()
    (tmp_path / "link").symlink_to(out)
    filled(tmp_path / "link")
    assert (out / "records.parquet").exists()


@pytest.mark.parametrize("run", [RUN, OTHER])
def test_a_folder_replaced_by_a_link_is_not_followed(run: dict[str, Any], tmp_path: Path) -> None:
    out, elsewhere = filled(tmp_path / "out"), tmp_path / "elsewhere"
    (out / "figures").rename(elsewhere)
    (out / "figures").symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="figures is no folder"):
        Store(out, run, overwrite=True, files=NAMES)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [store.RUN, store.RECORDS])
def test_a_pipe_is_no_file_of_a_run(name: str, tmp_path: Path) -> None:
    out = filled(tmp_path / "out")
    (out / name).unlink()
    os.mkfifo(out / name)
    named = pytest.raises(OSError, match=f"{name} cannot be .*: it is no regular file")
    with named, Store(out, RUN, files=NAMES) as opened:
        opened.read()


@pytest.fixture(scope="module")
def made(sample: Any, linear: Any) -> pd.DataFrame:
    named = [policies.create("random"), policies.create("centre")]
    return evaluate(named, sample, linear, KINDS, progress=False).records[list(COLUMNS)]


Damage = Callable[[pd.DataFrame], pd.DataFrame]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no column": (lambda t: t.drop(columns="certainty"), "expected the columns"),
    "a column more": (lambda t: t.assign(x=1), "expected the columns"),
    "another dtype": (lambda t: t.astype({"label": float}), "'label' holds float64"),
    "numbers for text": (lambda t: t.assign(image=1), "'image' holds int64"),
    "no name": (lambda t: t.assign(policy=None), "'policy' holds object"),
    "a foreign image": (lambda t: t.replace({"image": {t["image"][0]: "x"}}), "no image 'x'"),
    "a foreign policy": (lambda t: t.replace({"policy": {"centre": "x"}}), "no policy 'x'"),
    "half the saccades": (lambda t: t[t["saccade"] == 1], "lacks one of 2 saccades"),
    "one policy": (lambda t: t[t["policy"] == "centre"], "lacks one of 2 saccades"),
    "a row twice": (lambda t: pd.concat([t, t[:1]]), "or has one twice"),
    "a row in place of one": (lambda t: pd.concat([t[1:], t[1:2]]), "or has one twice"),
    "NaN": (lambda t: t.assign(certainty=np.nan), "'certainty' must be 0 to 1"),
    "infinity": (lambda t: t.assign(visible_share=np.inf), "'visible_share' must be 0 to 1"),
    "outside the grid": (lambda t: t.assign(row=14), "'row' must be 0 to 13"),
    "before the grid": (lambda t: t.assign(col=-1), "'col' must be 0 to 13"),
    "no class": (lambda t: t.assign(prediction=1000), "'prediction' must be 0 to 999"),
    "NaN with a label": (lambda t: t.assign(true_class_probability=np.nan), "'true_class_prob"),
    "wrong is right": (lambda t: t.assign(correct=~t["correct"]), "'correct' is not"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_records_that_no_run_makes_are_refused(
    name: str, made: pd.DataFrame, sample: Any, linear: Any, tmp_path: Path
) -> None:
    damage, message = DAMAGES[name]
    ids = [sample.id(place) for place in range(len(sample))]
    expected = ids, ["random", "centre"], KINDS, linear.num_classes
    check_records(made, *expected)
    check_records(made.assign(map_entropy=np.nan), *expected, ["map_entropy"])
    with pytest.raises(ValueError, match=message):
        check_records(damage(made), *expected)
    with Store(tmp_path, RUN) as opened:
        opened.add(Part(damage(made)))
        with pytest.raises(OSError, match=rf"{os.sep}parts{os.sep}.*{message}.*move it away"):
            opened.read(lambda records: check_records(records, *expected))
