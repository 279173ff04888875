"""Files that say which class a picture is of: ``--labels FILE``, Kaggle's and ILSVRC's own.

A line names a picture and its class (:mod:`.labels` says how classes are written), in CSV, or with
a tab or blanks between them; a heading is optional. Pictures are named by their path below the
folder, by file name, or by that without its suffix. The ground truth of ILSVRC's development kit
has a number a line, for its validation pictures in order.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from saccade_env.errors import unknown_name
from saccade_env.images.labels import ILSVRC, READINGS, kind_of, word_of

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})")
TRUTH, KAGGLE = "ILSVRC2012_validation_ground_truth.txt", "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
_VALIDATION_PICTURES = 50_000
_PARENTS = 4  # from a split of Kaggle's tree to its root
_PICTURE = {"file", "file_name", "filename", "name", "image", "imageid", "image_id", "img", "path"}
_BOXES = "predictionstring"  # Kaggle's: a class and a box, more than once
_CLASS = {"label", "class", "synset", "wnid", "class_index", "class_id", "cls", _BOXES}


class LabelFile(NamedTuple):
    """What a file says: the class of each picture as a word, and how to read the words.

    ``reading`` is None where the words have to say it themselves.
    """

    path: Path
    classes: dict[str, str]
    reading: str | None


class Assigned(NamedTuple):
    """Classes of those pictures that a file names.

    Attributes:
        places: Of these pictures.
        words: Class of each.
        notes: What has no counterpart, with counts.
    """

    places: list[int]
    words: list[str]
    notes: list[str]


def parse(labels: str | None) -> tuple[Path | None, str | None]:
    """Split ``FILE``, ``READING`` or ``FILE:READING``, and look whether they are there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No reading is called so.
    """
    if labels is None or labels in READINGS:
        return None, labels
    file, _, reading = labels.rpartition(":")
    if reading not in READINGS:
        file, reading = labels, ""
    path = Path(file).expanduser()
    if path.is_file():
        return path, reading or None
    if path.suffix or path.name != file:
        raise FileNotFoundError(f"no such file of labels: {path}")
    raise unknown_name("reading of labels", labels, READINGS)


def near(folder: Path, *names: str) -> Path | None:
    """The first of these files in a folder or above it, also in a development kit there."""
    for place in (folder, *folder.absolute().parents[:_PARENTS]):
        for kit in ("", "data", DEVKIT, f"{DEVKIT}/data"):
            for name in names:
                if (found := place / kit / name).is_file():
                    return found
    return None


def read(path: Path) -> LabelFile:
    """Read a file of labels.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from error
    rows = [(line, row) for line, row in _rows(path, text) if any(row)]
    if rows and all(len(row) == 1 and kind_of(row[0]) == "number" for _, row in rows):
        return _truth(path, {line: row[0] for line, row in rows})
    picture, label, headed = _columns(path, rows[0][1]) if rows else (0, 0, False)
    if len(rows) == headed:
        raise ValueError(f"{path} names no picture")
    boxes = headed and rows[0][1][label].lower() == _BOXES
    classes: dict[str, str] = {}
    for line, row in rows[headed:]:
        if len(row) <= max(picture, label) or not (row[picture] and row[label]):
            raise ValueError(f"{path}, line {line}: expected a picture and its class; got {row}")
        if row[picture] in classes:
            raise ValueError(f"{path}, line {line}: {row[picture]!r} comes a second time")
        word = word_of(row[label].split()[0] if boxes else row[label], f"{path}, line {line}")
        if word is None:
            raise ValueError(f"{path}, line {line}: {row[label]!r} is no class")
        classes[row[picture]] = word
    return LabelFile(path, classes, None)


def _truth(path: Path, numbers: dict[int, str]) -> LabelFile:
    """ILSVRC's ground truth: the number of a line is that of its picture."""
    if [*numbers] != [*range(1, len(numbers) + 1)] or len(numbers) > _VALIDATION_PICTURES:
        raise ValueError(
            f"{path} is no ground truth of ILSVRC 2012: expected a number on each of at most "
            f"{_VALIDATION_PICTURES} lines; got {len(numbers)}, the last on line {max(numbers)}"
        )
    names = {f"ILSVRC2012_val_{line:08}": number for line, number in numbers.items()}
    return LabelFile(path, names, ILSVRC)


def is_one(path: Path) -> bool:
    """Whether a table has headings of pictures and of classes."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        rows = _rows(path, file.readline())
        return _columns(path, next(rows, (0, []))[1])[2]


def assign(file: LabelFile, ids: Sequence[str]) -> Assigned:
    """Give the pictures of these ids their classes.

    Raises:
        ValueError: A name stands for several pictures, or none has a class.
    """
    place: dict[str, int] = {}
    for named in (_whole, _file, _stem):  # the longer way to name a picture comes first
        counts = Counter(map(named, ids))
        left = {name for name in file.classes if name not in place}
        if several := sorted(name for name in left if counts[name] > 1):
            raise ValueError(
                f"{several[0]!r} in {file.path} stands for {counts[several[0]]} pictures "
                f"({len(several)} such names); write their paths below the folder"
            )
        place |= {name: i for i, name in enumerate(map(named, ids)) if name in left}
    words = {i: file.classes[name] for name, i in place.items()}
    if not words:
        raise ValueError(
            f"{file.path} names none of the pictures: it has {next(iter(file.classes))!r}, the "
            f"pictures are {ids[0]!r}, …; names are paths below the folder, or file names"
        )
    if len(words) < len(place):
        raise ValueError(f"{file.path} names a picture in two ways")
    places, notes = sorted(words), []
    if missing := len(ids) - len(places):
        first = next(ids[i] for i in range(len(ids)) if i not in words)
        notes.append(f"left out: {missing} pictures that {file.path.name} lacks, such as {first!r}")
    surplus = [name for name in file.classes if name not in place]
    if surplus and not VALIDATION.match(surplus[0]):  # ILSVRC's own name all 50,000
        counted = f"{len(surplus)} names without a picture, such as {surplus[0]!r}"
        notes.append(f"{file.path.name} has {counted}")
    return Assigned(places, [words[i] for i in places], notes)


def _whole(id: str) -> str:
    return id


def _file(id: str) -> str:
    return id.rpartition("/")[2]


def _stem(id: str) -> str:
    return _file(id).rpartition(".")[0]


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.splitlines()
    if path.suffix.lower() == ".jsonl":
        yield from _objects(path, lines)
        return
    first = next(filter(str.strip, lines), "")
    comma = path.suffix.lower() == ".csv" or "," in first.partition(" ")[0]
    if "\t" not in first and not comma:
        yield from ((number, line.split(maxsplit=1)) for number, line in enumerate(lines, 1))
        return
    delimiter = "\t" if "\t" in first else ","
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _objects(path: Path, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    heads: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            cells = json.loads(line) if line.strip() else {}
            if not heads:
                heads = list(cells)
                yield number, heads
            found = (word_of(cells.get(head), f"{path}, line {number}") for head in heads)
            yield number, [cell or "" for cell in found]
        except (json.JSONDecodeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: expected a JSON object: {error}") from error


def _columns(path: Path, first: list[str]) -> tuple[int, int, bool]:
    """Places of picture and class in a row, and whether this one is a heading.

    Raises:
        ValueError: Several headings may be either.
    """
    heads = [cell.lower() for cell in first]
    pictures = [i for i, head in enumerate(heads) if head in _PICTURE]
    classes = [i for i, head in enumerate(heads) if head in _CLASS]
    if not (pictures and classes):
        return 0, 1, False
    if len(pictures) + len(classes) > 2:
        several = ", ".join(first[i] for i in (*pictures, *classes))
        raise ValueError(f"{path}: expected one column of pictures and one of classes: {several}")
    return pictures[0], classes[0], True
