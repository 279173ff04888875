"""``saccade-env cache info`` and ``cache clear``, on files as policies and downloads leave them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from saccade_env import cli, policies
from saccade_env.classifiers.weights import TABLE
from saccade_env.cli import cache as cache_command

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=GENERATOR)


def gbvs(channels: str) -> Any:
    return policies.create("gbvs", channels=channels, map_size=(4, 4))


def call(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["cache", *arguments], input=answer, terminal_width=120)
    return result.exit_code, result.output


@pytest.fixture
def maps(map_folder: Path) -> Callable[[], list[str]]:
    """Maps of GBVS with two sets of parameters; names what is left in the folder."""
    for channels in ("I", "CI"):
        gbvs(channels).maps(IMAGES)
    return lambda: sorted(path.name for path in map_folder.iterdir())


@pytest.fixture
def weights(map_folder: Path) -> Callable[[], list[str]]:
    """A weights file with its record, a broken-off download, and something of the user's own."""
    folder = map_folder.parent / "weights"
    folder.mkdir(parents=True)
    name = TABLE["unisal"].file
    for file in (name, f"{name}.sha256", f"{TABLE['resnet50'].file}.part", "own.pth"):
        (folder / file).write_bytes(b"w" * 50_000)
    return lambda: sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_info_says_what_is_there(
    maps: Any, weights: Any, monkeypatch: pytest.MonkeyPatch, map_folder: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, output = call("info")
    assert code == 0, output
    lines = {name: next(x for x in output.splitlines() if name in x) for name in maps()}
    assert all("maps of gbvs (grid 14×14" in line for line in lines.values())
    assert any("channels CI," in line for line in lines.values())
    assert all(" 40 " in line for line in lines.values()), "entries"
    assert "UNISAL" in output
    assert "own.pth" not in output
    sizes = [path.stat().st_size for path in map_folder.iterdir()]
    total = (sum(sizes) + 100_000) / 1e6
    assert f"{total:.2f} MB in {map_folder.parent}" in output


def test_info_of_an_empty_cache(map_folder: Path) -> None:
    assert call("info") == (0, f"0.00 MB in {map_folder.parent}\n")


def test_info_names_a_damaged_file(map_folder: Path) -> None:
    map_folder.mkdir(parents=True)
    (map_folder / f"gbvs-{'0' * 12}.sqlite").write_bytes(b"nothing of the kind" * 99)
    [item] = cache_command.items("maps")
    assert item.what == "cannot be read (file is not a database): saccade-env cache clear"
    assert call("clear")[0] == 0
    assert not list(map_folder.iterdir())


def test_clear_removes_maps_and_nothing_else(maps: Any, weights: Any, map_folder: Path) -> None:
    (map_folder / "notes.sqlite").write_text("the user's own")
    size = sum(path.stat().st_size for path in map_folder.glob("gbvs-*"))
    code, output = call("clear")
    left = sum(path.stat().st_size for path in map_folder.glob("gbvs-*"))
    assert left < size / 2
    assert (code, output) == (0, f"removed maps: entries 80, MB {(size - left) / 1e6:.2f}\n")
    assert cache_command.items("maps") == []
    assert "notes.sqlite" in maps()
    assert len(weights()) == 4


def test_clear_weights_asks_first(maps: Any, weights: Any) -> None:
    before = weights()
    code, output = call("clear", "weights", answer="n\n")
    assert code == 1
    assert "remove 2 weights, to be downloaded when needed?" in output
    assert weights() == before
    code, output = call("clear", "weights", answer="y\n")
    assert code == 0
    assert "removed weights: entries 2, MB 0.10" in output
    assert weights() == ["own.pth", f"{TABLE['unisal'].file}.sha256"], "later ones are held to it"
    assert len(cache_command.items("maps")) == 2


def test_clear_all_with_yes(maps: Any, weights: Any) -> None:
    assert call("clear", "all", "--yes")[0] == 0
    assert (cache_command.items(), len(weights())) == ([], 2)


def test_an_unknown_part_is_named() -> None:
    code, output = call("clear", "weigths")
    assert code == 1
    assert output.startswith("error: unknown part of the cache 'weigths'. Did you mean 'weights'?")


def test_clear_waits_for_a_writer_who_then_goes_on(
    maps: Any, map_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = gbvs("I")
    computed = policy.maps(IMAGES)
    writer = sqlite3.connect(policy._disk.path, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, writer.commit)
    release.start()
    assert cache_command.clear()[0] == 80
    assert release.finished.is_set(), "waited"
    release.join()
    writer.execute("INSERT INTO maps VALUES (x'00', x'00')")  # on the connection from before
    writer.commit()
    writer.close()
    assert [item.entries for item in cache_command.items()] == [1]
    assert torch.equal(policy.maps(IMAGES), computed)
    assert [item.entries for item in cache_command.items()] == [41]


def test_a_file_that_cannot_be_cleared_is_removed(maps: Any, monkeypatch: Any) -> None:
    def write_protected(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)

    monkeypatch.setattr(cache_command, "_open", write_protected)
    cache_command.clear()
    assert maps() == []


def test_a_damaged_database_is_removed(maps: Any, map_folder: Path) -> None:
    path = map_folder / maps()[0]
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\xff" * (len(content) - 5000))
    with pytest.raises(sqlite3.DatabaseError, match="disk image is malformed"):
        sqlite3.connect(path).execute("PRAGMA integrity_check; ").fetchall()
        sqlite3.connect(path).execute("DELETE FROM maps")
    assert call("clear")[0] == 0
    assert path.name not in maps()


def test_a_full_disk_is_named_and_nothing_removed(maps: Any, monkeypatch: Any) -> None:
    class Full(sqlite3.Connection):
        def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
            if statement.startswith("DELETE"):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *given)

    before = maps()
    monkeypatch.setattr(cache_command, "_open", lambda path: sqlite3.connect(path, factory=Full))
    code, output = call("clear")
    assert code == 1
    assert output.startswith("error: cannot clear ")
    assert "disk is full" in output
    assert maps() == before


def test_a_file_that_stays_locked_is_named(maps: Any, map_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(cache_command, "_PATIENCE_S", 0.05)
    path = map_folder / maps()[0]
    writer = sqlite3.connect(path)
    writer.execute("BEGIN IMMEDIATE")
    code, output = call("clear")
    writer.close()
    assert (code, output) == (
        1,
        f"error: cannot clear {path}: another process keeps it locked\n",
    )
    assert path.exists()


def test_what_is_known_of_images_is_shown_and_cleared(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path))
    for folder, name in (("identities", "a" * 64), ("shards", "b" * 64), ("shards", "mine")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.json").write_text("{}")
    _, shown = call("info")
    assert "hashes of pictures" in shown
    assert "where pictures lie in a tar shard" in shown
    assert "entries 2" in call("clear", "images")[1]
    assert [path.name for path in tmp_path.glob("*/*")] == ["mine.json"]
