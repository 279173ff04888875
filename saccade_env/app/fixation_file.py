"""Where people's fixations go: a CSV file that ``saccade-env human`` reads as it is.

A row a fixation. A file of another kind is never added to; several pages may write to one file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from saccade_env.files import check_writable

COLUMNS = (
    "image",  # its id in the source
    "subject",  # drawn at random, new for every visit
    "order",  # of the fixation, from 1
    "row",  # of the token looked at, from 0
    "col",
    "seconds",  # since the picture was begun
    "prediction",  # of the classifier after this fixation, a number
    "certainty",  # likewise, 0 to 1
    "trial",  # of this visit, from 1
    "ended",  # how the trial ended: budget, stop or time
    "classifier",
    "fovea",  # tokens a side
    "max_saccades",
)


class FixationFile:
    """A CSV file of fixations that is only ever added to.

    Args:
        path: New, empty, or of this kind already.

    Raises:
        FileExistsError: There is another file, which stays as it is.
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[dict[str, Any]] = []
        with self._lock():
            self._check()
        check_writable(path)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows, each with all of :data:`COLUMNS`, in one piece.

        What cannot be written is kept, and written with the rows that are added next.

        Raises:
            FileExistsError: The file has become another one.
            OSError: It cannot be written.
        """
        with self._lock():
            self._waiting += rows
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            if self._check():
                writer.writeheader()
            writer.writerows(self._waiting)
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
            self._waiting = []

    def _check(self) -> bool:
        """Whether it is still to be begun."""
        if self.path.exists() and not self.path.is_file():
            raise FileExistsError(f"{self.path} is no regular file; take another for fixations")
        head = b""
        if self.path.exists():
            with self.path.open("rb") as file:
                head = file.readline(10_000)
        if head and head.rstrip(b"\r\n") != ",".join(COLUMNS).encode():
            raise FileExistsError(
                f"{self.path} holds something else than this page's fixations; take another file"
            )
        return not head

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_name(f".{self.path.name}.lock"))
