"""Where people's fixations go: a CSV file that ``saccade-env human`` reads as it is.

A row a fixation; what held for all of them is in a JSON file beside it. A file of another kind is
never added to; several pages may write to one file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from saccade_env.card import plain
from saccade_env.files import MADE_BY, check_writable, read_object, write_json

_PATIENCE = 10  # seconds another page may hold the file
COLUMNS = (
    "image",  # its id in the source
    "subject",  # drawn at random, new for every visit
    "order",  # of the fixation, from 1
    "row",  # of the token looked at, from 0
    "col",
    "seconds",  # since the picture appeared
    "prediction",  # of the classifier after this fixation, a number
    "certainty",  # likewise, 0 to 1
    "label",  # of the picture, a number; -1 where unknown
    "trial",  # of this visit, from 1
    "started",  # when the trial was begun, UTC
    "ended",  # how: budget, stop or time
    "page",  # its settings and versions: a key of the JSON file beside this one
)


class FixationFile:
    """A CSV file of fixations that is only ever added to.

    Args:
        path: New, empty, or of this kind already.
        about: Plain data about the page whose fixations these are. It goes into the JSON file of
            the same name, under the key that the column ``page`` holds.

    Raises:
        FileExistsError: There is another file, which stays as it is.
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        check_fixation_file(path)
        self.path, self._about = path, plain(about)
        text = json.dumps(self._about, sort_keys=True)
        self.page = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._waiting: list[dict[str, Any]] = []

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows, each with all of :data:`COLUMNS` but the page, in one piece.

        What cannot be written is kept, and written with the rows that are added next.

        Raises:
            FileExistsError: The file has become another one.
            OSError: It cannot be written.
        """
        with self._lock():
            self._waiting += [{**row, "page": self.page} for row in rows]
            if self.page not in (pages := _pages(beside(self.path))):
                found = {**pages, self.page: self._about}
                write_json(beside(self.path), {"made_by": MADE_BY, "pages": found})
            text = io.StringIO()
            writer = csv.DictWriter(
                text, COLUMNS, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
            )
            writer.writerows(self._waiting)
            head = ",".join(COLUMNS) + "\n" if _is_new(self.path) else _break(self.path)
            _append(self.path, (head + text.getvalue()).encode("utf-8", "backslashreplace"))
            self._waiting = []

    def _lock(self) -> FileLock:
        return FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_PATIENCE)


def check_fixation_file(path: Path) -> None:
    """Let a file pass that fixations can be added to.

    Raises:
        FileExistsError: There is another file, or another one beside it; both stay as they are.
        OSError: It cannot be written.
    """
    _is_new(path)
    _pages(beside(path))
    check_writable(path)


def beside(path: Path) -> Path:
    """The JSON file that says what the pages were."""
    return path.with_suffix(".json")


def _is_new(path: Path) -> bool:
    """Whether a file is still to be begun."""
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is no regular file; take another for fixations")
    head = b""
    if path.exists():
        with path.open("rb") as file:
            head = file.readline(10_000)
    if head and head.rstrip(b"\r\n") != ",".join(COLUMNS).encode():
        raise FileExistsError(
            f"{path} holds something else than this page's fixations; take another file"
        )
    return not head


def _pages(path: Path) -> dict[str, Any]:
    """What is known of the pages so far."""
    try:
        found = read_object(path)
    except FileNotFoundError:
        return {}
    if found.get("made_by") != MADE_BY or not isinstance(found.get("pages"), dict):
        raise FileExistsError(f"{path} says nothing of fixations; take another file for them")
    return dict(found["pages"])


def _break(path: Path) -> str:
    """A line break, if the last line of a file lacks it."""
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return "" if file.read() == b"\n" else "\n"


def _append(path: Path, data: bytes) -> None:
    """Add bytes whole or not at all."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError:
        with suppress(OSError):
            os.truncate(path, before)
        raise
