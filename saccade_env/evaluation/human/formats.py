"""Files of fixations in the formats people have them in, all read into the same rows.

A table of rows has the columns ``image``, ``subject``, ``order`` and a position, ``x`` and ``y`` or
``row`` and ``col``, with values as the file gives them; its index says where in the file a row
stands, for messages. Columns ``frame_height`` and ``frame_width`` are there where the file says in
a picture of which size, in pixels, ``x`` and ``y`` are.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from saccade_env.evaluation.human import pysaliency
from saccade_env.evaluation.human.pysaliency import COLUMNS

COCO_SCREEN = (1050, 1680)


class Raw(NamedTuple):
    """What a file of fixations holds, before anything is checked or converted."""

    rows: pd.DataFrame
    format: str
    what: str  # the file, for messages
    original: bool  # x and y are in pixels of the original files, or of what showed them
    screen: tuple[int, int] | None = None  # (height, width) of what showed them, if that is usual


def read_raw(fixations: Any, stimuli: Any = None, task: str | None = None) -> Raw:
    """Read fixations of any format; which one it is shows in how the file begins.

    Args:
        fixations: The path of a JSON, HDF5 or CSV file, or an object of pysaliency.
        stimuli: The pictures to pysaliency's fixations, a path or an object too.
        task: Take only records of this task; COCO's alone have one.

    Raises:
        OSError: A file cannot be read.
        ImportError: It is HDF5, and h5py is not installed.
        ValueError: It is malformed; or ``stimuli`` or ``task`` is missing or not for this format.
    """
    path = Path(fixations) if isinstance(fixations, (str, Path)) else None
    kind = _kind(path) if path else "HDF5"
    if task is not None and kind != "JSON":
        raise ValueError(f"only COCO's JSON has tasks to choose from; got task={task!r}")
    if (kind == "HDF5") == (stimuli is None):
        raise ValueError(
            "pysaliency's fixations, and they alone, need the stimuli they are on (stimuli=, "
            f"--stimuli); got {'none' if stimuli is None else 'some'} for "
            f"{path or type(fixations).__name__}"
        )
    if path is None or kind == "HDF5":
        rows = pysaliency.read(fixations, stimuli)
        return Raw(rows, "pysaliency", str(path or type(fixations).__name__), original=True)
    text = _text(path, kind)
    if kind == "JSON":
        return Raw(_coco(text, path, task), "COCO JSON", str(path), True, COCO_SCREEN)
    return Raw(_csv(text, path), "CSV", str(path), original=False)


def _kind(path: Path) -> str:
    """HDF5, JSON or CSV: by how the file begins, else by its suffix."""
    try:
        if path.is_fifo():  # it would never end
            raise OSError(0, "it is no regular file")
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise type(error)(f"cannot read fixations from {path}: {error.strerror}") from error
    if start.startswith(b"\x89HDF"):
        return "HDF5"
    if start.startswith((b"[", b"{")):
        return "JSON"
    return {".hdf5": "HDF5", ".h5": "HDF5", ".json": "JSON"}.get(path.suffix.lower(), "CSV")


def _text(path: Path, kind: str) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ValueError(
            f"{path}, line {line}: this is no {kind} file in UTF-8: {error}"
        ) from error


def _csv(text: str, path: Path) -> pd.DataFrame:
    """What stands in the file, as text; blank lines do not count."""
    lines: dict[str, list[str]] = {}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = filter(None, reader)
        header = [name.strip() for name in next(rows, [])]
        for cells in rows:
            lines[f"line {reader.line_num}"] = [cell.strip() for cell in cells]
            if len(cells) != len(header):
                found = f"{len(cells)} values for {len(header)} columns"
                raise ValueError(f"{path}, line {reader.line_num}: {found}")
    except csv.Error as error:
        line = reader.line_num
        raise ValueError(f"{path}, line {line}: this is no CSV file in UTF-8: {error}") from error
    if not header:
        raise ValueError(f"{path} is empty")
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: a column comes twice; found: {', '.join(header)}")
    return pd.DataFrame([*lines.values()], [*lines], header, dtype=str)


def _coco(text: str, path: Path, task: str | None) -> pd.DataFrame:
    """Records of COCO-FreeView and COCO-Search18, a scanpath each.

    The image is ``task/name`` where there is a task, since COCO-Search18 keeps its pictures in a
    folder for each, and what is looked for changes where people look.
    """
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: this is no JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # nested too deeply, or too long a number
        raise ValueError(f"{path}: this is no JSON of fixations: {error}") from error
    if not isinstance(records, list):
        raise ValueError(f"{path}: expected a list of records; got {type(records).__name__}")
    rows, places, tasks = [], [], set()
    for number, record in enumerate(records, 1):
        name, subject, own, positions = _scanpath(record, f"{path}, record {number}")
        tasks.add(own)
        if task in (None, own):
            image = f"{own}/{name}" if own else name
            rows += [(image, subject, order, x, y) for order, (x, y) in enumerate(positions)]
            places += [f"record {number}, fixation {at + 1}" for at in range(len(positions))]
    if task is not None and task not in tasks:
        known = ", ".join(sorted(filter(None, tasks))) or "none"
        raise ValueError(f"{path}: no record has the task {task!r}; tasks are: {known}")
    return pd.DataFrame(rows, places, COLUMNS)


def _scanpath(record: Any, where: str) -> tuple[str, str, str, list[tuple[Any, Any]]]:
    """Name, subject, task and positions of a record; null is a missing one."""
    if not isinstance(record, dict) or not {"name", "subject", "X", "Y"} <= {*record}:
        found = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{where}: expected name, subject, X and Y; found: {found}")
    name, subject, task = record["name"], record["subject"], record.get("task") or ""
    for key, value, kinds in (("name", name, str), ("task", task, str), ("subject", subject, _ID)):
        if not isinstance(value, kinds) or isinstance(value, bool):
            number = " or a whole number" * (key == "subject")
            raise ValueError(f"{where}: {key} must be text{number}; got {value!r}")
    for key in "XY":
        if not isinstance(record[key], list) or not all(map(_number, record[key])):
            raise ValueError(f"{where}: {key} must be a list of numbers; got {record[key]!r:.80}")
    if len(record["X"]) != len(record["Y"]):
        raise ValueError(f"{where}: {len(record['X'])} values of X, {len(record['Y'])} of Y")
    return name, str(subject), task, [*zip(record["X"], record["Y"], strict=True)]


_ID = (str, int)


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value is None
    return value != value or abs(value) < _FAR


_FAR = 1e9  # pixels: nothing is shown there
