"""The CSV of fixations: added to whole, read by the comparison with people, never another file."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from saccade_env.app.fixation_file import COLUMNS, FixationFile
from saccade_env.evaluation.human import read_fixations


def rows(subject: str, image: str = "a.jpg", looks: int = 3) -> list[dict[str, Any]]:
    shared = {
        "image": image, "subject": subject, "trial": 1, "ended": "stop", "classifier": "linear",
        "fovea": 3, "max_saccades": 10, "prediction": 4, "certainty": 0.25,
    }  # fmt: skip
    return [
        {**shared, "order": order, "row": order, "col": 2, "seconds": order / 2}
        for order in range(1, looks + 1)
    ]


def test_rows_are_added_and_read_as_fixations(tmp_path: Path) -> None:
    path = tmp_path / "new" / "looks.csv"
    FixationFile(path).add(rows("first"))
    FixationFile(path).add(rows("second", 'a "quoted", name.jpg'))  # another page, the same file
    with path.open(newline="", encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    assert len(kept) == 6
    assert tuple(kept[0]) == COLUMNS
    found = read_fixations(path)
    assert found.groupby("subject").size().to_dict() == {"first": 3, "second": 3}
    assert set(found["image"]) == {"a.jpg", 'a "quoted", name.jpg'}
    assert found["row"].tolist() == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("held", ["image,subject,order,row,col\n", "mine", "\n"])
def test_another_file_is_refused_and_stays_as_it_is(tmp_path: Path, held: str) -> None:
    path = tmp_path / "looks.csv"
    path.write_text(held)
    with pytest.raises(FileExistsError, match="something else"):
        FixationFile(path)
    assert path.read_text() == held
    with pytest.raises(FileExistsError, match="no regular file"):
        FixationFile(tmp_path)


def test_a_file_that_becomes_another_one_is_refused(tmp_path: Path) -> None:
    kept = FixationFile(tmp_path / "looks.csv")
    kept.path.write_text("somebody else's")
    with pytest.raises(FileExistsError):
        kept.add(rows("first"))
    assert kept.path.read_text() == "somebody else's"


def test_many_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "looks.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: FixationFile(path).add(rows(f"s{number}")), range(40)))
    assert read_fixations(path).groupby("subject").size().eq(3).sum() == 40
