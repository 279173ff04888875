"""The CSV of fixations: added to whole, read by the comparison with people, never another file."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from saccade_env.app.fixation_file import COLUMNS, FixationFile
from saccade_env.evaluation.human import read_fixations

ABOUT = {"classifier": {"name": "linear"}, "seed": 3}


def rows(subject: str, image: str = "a.jpg", looks: int = 3) -> list[dict[str, Any]]:
    shared = {
        "image": image, "subject": subject, "trial": 1, "started": "2026-01-01T10:00:00+00:00",
        "ended": "stop", "label": -1, "prediction": 4, "certainty": 0.25,
    }  # fmt: skip
    return [
        {**shared, "order": order, "row": order, "col": 2, "seconds": order / 2}
        for order in range(1, looks + 1)
    ]


def test_rows_are_added_and_read_as_fixations(tmp_path: Path) -> None:
    path = tmp_path / "new" / "looks.csv"
    FixationFile(path, ABOUT).add(rows("first"))
    FixationFile(path, ABOUT).add(
        rows("second", 'a "quoted", name.jpg')
    )  # another page, the same file
    with path.open(newline="", encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    assert len(kept) == 6
    assert tuple(kept[0]) == COLUMNS
    found = read_fixations(path)
    assert found.groupby("subject").size().to_dict() == {"first": 3, "second": 3}
    assert set(found["image"]) == {"a.jpg", 'a "quoted", name.jpg'}
    assert found["row"].tolist() == [1, 2, 3, 1, 2, 3]
    beside = json.loads((tmp_path / "new" / "looks.json").read_text())
    assert beside["pages"] == {kept[0]["page"]: ABOUT}


def test_each_page_says_what_it_was(tmp_path: Path) -> None:
    for seed in (1, 2, 1):
        FixationFile(tmp_path / "looks.csv", {"seed": seed}).add(rows(f"s{seed}{id(object())}"))
    pages = json.loads((tmp_path / "looks.json").read_text())["pages"]
    assert sorted(page["seed"] for page in pages.values()) == [1, 2]
    with (tmp_path / "looks.csv").open(newline="") as file:
        found = [pages[row["page"]]["seed"] for row in csv.DictReader(file)]
    assert found == [1] * 3 + [2] * 3 + [1] * 3


def test_another_json_beside_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "looks.json").write_text('{"mine": 1}')
    with pytest.raises(FileExistsError, match="says nothing of fixations"):
        FixationFile(tmp_path / "looks.csv", ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["looks.json"]


def test_what_cannot_be_written_waits(tmp_path: Path) -> None:
    kept = FixationFile(tmp_path / "looks.csv", ABOUT)
    kept.path.mkdir()
    with pytest.raises(FileExistsError):
        kept.add(rows("first"))
    kept.path.rmdir()
    kept.add(rows("second"))
    assert read_fixations(kept.path)["subject"].unique().tolist() == ["first", "second"]


@pytest.mark.parametrize("held", ["image,subject,order,row,col\n", "mine", "\n"])
def test_another_file_is_refused_and_stays_as_it_is(tmp_path: Path, held: str) -> None:
    path = tmp_path / "looks.csv"
    path.write_text(held)
    with pytest.raises(FileExistsError, match="something else"):
        FixationFile(path, ABOUT)
    assert path.read_text() == held
    with pytest.raises(FileExistsError, match="no regular file"):
        FixationFile(tmp_path, ABOUT)


def test_a_file_that_becomes_another_one_is_refused(tmp_path: Path) -> None:
    kept = FixationFile(tmp_path / "looks.csv", ABOUT)
    kept.path.write_text("somebody else's")
    with pytest.raises(FileExistsError):
        kept.add(rows("first"))
    assert kept.path.read_text() == "somebody else's"


def test_many_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "looks.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: FixationFile(path, ABOUT).add(rows(f"s{number}")), range(40)))
    assert read_fixations(path).groupby("subject").size().eq(3).sum() == 40


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    kept = FixationFile(tmp_path / "looks.csv", ABOUT)
    kept.add(rows("first"))
    kept.path.write_bytes(kept.path.read_bytes().rstrip(b"\n"))
    kept.add(rows("second"))
    assert read_fixations(kept.path).groupby("subject").size().tolist() == [3, 3]


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FixationFile(tmp_path / "looks.csv", ABOUT)
    kept.add(rows("first"))
    before = kept.path.read_bytes()

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[:40])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        opened = Path.open
        patch.setattr(
            Path,
            "open",
            lambda path, mode="r", **how: (
                Full(path, "ab") if mode == "ab" else opened(path, mode, **how)
            ),
        )
        with pytest.raises(OSError, match="No space"):
            kept.add(rows("second"))
    assert kept.path.read_bytes() == before
    kept.add(rows("third"))
    assert read_fixations(kept.path)["subject"].unique().tolist() == ["first", "second", "third"]
