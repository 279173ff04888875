"""`saccade-env verify`: one table, whatever can be reached, and exit codes that can be trusted."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from saccade_env import cli
from saccade_env.bench import costs
from saccade_env.classifiers import Classifier, weights
from saccade_env.images import SAMPLE
from saccade_env.verify import accuracy, hashes, numerics, run, speed, table
from saccade_env.verify.accuracy import Band
from saccade_env.verify.goldens import Difference
from saccade_env.verify.table import Row

CLASSES = ("n02106662", "n07920052", "n02123045")
SHEPHERD = 235
LINEAR = "dino_deitsmall16-linear"
AGREES = Row("a", "1", "1", True)
DIFFERS = Row("b", "1", "2", False, "off|by one")
UNCHECKED = table.unchecked("c", "1", "no\nnetwork")
MEASURED = Row("d", "", "9 a second", True, "a machine")


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["verify", *arguments], terminal_width=200)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a server on this machine with small files in place of all weights."""
    place = tmp_path / "published"
    place.mkdir()
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(weights, "_failed", {})
    handler: Any = lambda *given: Quiet(*given, directory=str(place))  # noqa: E731
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        for name, file in weights.TABLE.items():
            url = f"http://127.0.0.1:{server.server_address[1]}/{file.published_file}"
            small = replace(file, url=url, network="torch.nn:Linear", sizes=(3, 2))
            monkeypatch.setitem(weights.TABLE, name, small)
            torch.save(torch.nn.Linear(3, 2).state_dict(), place / file.published_file)
        yield place
        server.shutdown()
        thread.join()


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A picture of each of three classes."""
    for name in CLASSES:
        shutil.copytree(SAMPLE / name, tmp_path / "pictures" / name)
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], 0),
        ([AGREES, MEASURED], 0),
        ([AGREES, UNCHECKED], 3),
        ([UNCHECKED, DIFFERS, AGREES], 1),
    ],
)
def test_exit_code(rows: list[Row], code: int) -> None:
    assert table.exit_code(rows) == code


def test_both_files_say_the_same(tmp_path: Path) -> None:
    rows = [AGREES, DIFFERS, UNCHECKED, MEASURED]
    data, page = table.write(
        tmp_path / "new", rows, {"versions": {"python": "3"}, "skipped": ["x"]}
    )
    read = json.loads(data.read_text())
    assert [row["verdict"] for row in read["rows"]] == [*table.VERDICTS]
    assert (read["exit_code"], read["versions"]) == (1, {"python": "3"})
    text = page.read_text()
    assert r"| b | 1 | 2 | DIFFERS: off\|by one |" in text
    assert "| c | 1 |  | not checked: no network |" in text
    assert "- versions: python 3\n- skipped: x\n" in text
    assert text.endswith("agrees: 1, DIFFERS: 1, not checked: 1, measured: 1\n")


def test_hashes_of_what_is_published(published: Path) -> None:
    first, second = (list(hashes.check(progress=False)) for _ in range(2))
    assert [row.what for row in first] == [
        "hash: dino_deitsmall16-backbone", f"hash: {LINEAR}", "hash: unisal"
    ]  # fmt: skip
    assert [{row.verdict for row in rows} for rows in (first, second)] == [{"measured"}, {"agrees"}]
    assert [row.found for row in first] == [row.found for row in second]
    assert first[1].found == weights.record(LINEAR).sha256
    assert {row.note for row in first} == {
        "its tensors fit the network; no hash of it is published, this one came"
    }
    assert second[1].expected == "as recorded in dino_deitsmall16_linearweights.pth.sha256"


def test_a_file_that_is_another_differs_and_one_that_is_gone_was_not_checked(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = weights.TABLE[LINEAR]
    monkeypatch.setitem(weights.TABLE, LINEAR, replace(file, sha256="0" * 8))
    (published / weights.TABLE["unisal"].published_file).unlink()
    backbone, linear, unisal = hashes.check(progress=False)
    assert (backbone.ok, linear.ok, unisal.ok) == (True, False, None)
    assert linear.expected == "00000000…, published"
    assert "gave something else than" in linear.note
    assert "answered 404" in unisal.note


def test_a_damaged_file_and_tensors_of_another_network_differ(published: Path) -> None:
    list(hashes.check(progress=False))
    weights.TABLE[LINEAR].place.write_bytes(b"damaged")
    torch.save({"other": torch.zeros(1)}, weights.TABLE["unisal"].place)
    weights.TABLE["unisal"].record.unlink()
    _, linear, unisal = hashes.check(progress=False)
    assert (linear.ok, unisal.ok) == (False, False)
    assert "damaged or replaced" in linear.note
    assert "these are not the weights of" in unisal.note


class Shepherd(Classifier):
    """Sees a German shepherd in every picture of which it is shown all."""

    grid, num_classes = (14, 14), 1000

    def __init__(self) -> None: ...

    def begin(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def classify(self, memory: torch.Tensor, revealed: torch.Tensor) -> Any:
        assert revealed.all()
        logits = torch.zeros(len(revealed), 1000)
        logits[:, SHEPHERD] = 1
        return logits, memory


def test_accuracy_is_held_against_the_band(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "create", lambda name, device: Shepherd())
    good = accuracy.check(str(three), Band(0.3, 0.4), batch_size=2)
    assert (good.verdict, good.found) == ("agrees", "33.3 %")
    assert good.note.startswith("3 images, 99 % interval ")
    bad = accuracy.check(str(three), Band(0.95, 1))
    assert (bad.verdict, bad.expected, bad.found) == ("DIFFERS", "95.0 to 100.0 %", "33.3 %")
    assert "1 images, " in accuracy.check(str(three), Band(0, 1), limit=1).note


def test_few_images_do_not_differ_by_chance() -> None:
    few, many = (accuracy._row("", Band(0.77, 0.98), [True] * n) for n in (20, 2000))
    assert (few.ok, many.ok) == (True, False)
    low = accuracy._row("", Band(0.77, 0.98), [True] * 70 + [False] * 930)
    assert (low.ok, low.found) == (False, "7.0 %")
    assert accuracy._row("", Band(0, 1), []).note == "none of the images has a label"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--band", "0.9,0.5"], "a band is two numbers in order, from 0 to 1; got [0.9, 0.5]"),
        (["--band", "77,98"], "a band is two numbers in order, from 0 to 1; got [77.0, 98.0]"),
        (["--band", "0.5"], "a band is two numbers"),
        (["--images", "sample"], "no accuracy is known for the images 'sample': give a band"),
        (["--skip", "hash"], "unknown part of the verification 'hash'. Did you mean 'hashes'"),
    ],
)
@pytest.mark.usefixtures("published")
def test_wrong_settings_end_before_anything_is_fetched(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    code, output = call(*arguments)
    assert code == 1
    assert message in output
    assert not (tmp_path / "cache").exists()


def test_goldens_are_a_row_a_network() -> None:
    near = Difference("dino 224x224 logits", 1e-6, 1e-5)
    far, broken = (Difference(f"dino {what}", value, 1e-5)
                   for what, value in (("tokens", 2e-5), ("map", float("nan"))))  # fmt: skip
    good = numerics.row("dino", [near])
    assert (good.ok, good.found) == (True, "largest difference 1.0e-06 of 1.0e-05")
    assert good.note == "1 tensors, seeded weights"
    bad = numerics.row("dino", [near, far, broken])
    assert (bad.ok, bad.note) == (False, "differ: dino tokens, dino map")
    assert bad.found == "largest difference nan of 1.0e-05"


def test_speed_is_measured_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = costs.Cost("dino_vits16", once=50, saccade=8)
    monkeypatch.setattr(costs, "of_classifiers", lambda *_: iter([cost]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    whole, saccades = speed.check()
    assert (whole.verdict, whole.found) == ("measured", "20.0 a second")
    assert (saccades.verdict, saccades.found) == ("measured", "125.0 a second")
    assert saccades.note.endswith(", 1 thread")


def test_offline_there_is_a_table_all_the_same(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SACCADE_OFFLINE", "1")
    code, output = call("--out", str(tmp_path / "out"), "--skip", "speed", "--skip", "goldens")
    assert code == 3, output
    assert "agrees: 0, DIFFERS: 0, not checked: 4, measured: 0" in output
    read = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert [row["ok"] for row in read["rows"]] == [None] * 4
    assert "SACCADE_OFFLINE" in read["rows"][0]["note"]
    assert read["rows"][3]["expected"] == "77.0 to 98.0 %"
    assert read["skipped"] == ["speed", "goldens"]
    assert "| accuracy: dino_vits16 on imagenette |" in (tmp_path / "out" / "verify.md").read_text()


@pytest.mark.usefixtures("published")
def test_what_agrees_is_no_failure_and_one_that_differs_is(monkeypatch: pytest.MonkeyPatch) -> None:
    skip = ["--skip", "accuracy", "--skip", "speed", "--skip", "goldens"]
    assert call(*skip)[0] == 0
    weights.TABLE["unisal"].place.write_bytes(b"damaged")
    code, output = call(*skip)
    assert code == 1
    assert "agrees: 2, DIFFERS: 1" in output


def test_images_that_cannot_be_had_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("cannot get Imagenette: no network")

    monkeypatch.setattr("saccade_env.images.create", refuse)
    row = accuracy.check(classifier="efficientnet_lite0")
    assert (row.ok, row.note) == (None, "cannot get Imagenette: no network")


def test_every_part_can_be_left_out() -> None:
    parts = run.checks(run.Settings())
    assert [*parts] == ["hashes", "goldens", "accuracy", "speed"]
    assert not run.checks(run.Settings(skip=tuple(parts)))
