"""The folder of one evaluation: finished parts survive whatever happens to the run.

``run.json`` says what the folder holds; ``parts/*.parquet`` holds a batch each while the run goes
on; at the end they become ``records.parquet``. Every file is written under a temporary name and
renamed, so that a killed run leaves only whole files.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

PARTS, RECORDS, RUN, SUMMARY = "parts", "records.parquet", "run.json", "summary.json"


class Store:
    """Where the records of one run go.

    Args:
        folder: Output folder; created if need be.
        run: What the run is, as plain data. The same run goes on where it stopped.
        overwrite: Drop another run's records instead of refusing.

    Raises:
        FileExistsError: The folder holds another run.
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: str | Path, run: dict[str, Any], overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._parts = self.folder / PARTS
        run = json.loads(json.dumps(run))
        if not overwrite:
            refuse_another(self.folder, run)
        elif _stored_run(self.folder) not in (None, run):
            self._clear()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"cannot write to {self.folder}: {error.strerror}; choose another output folder"
            ) from error
        for leftover in self.folder.rglob("*.tmp"):
            leftover.unlink()
        self.write_json(RUN, run)

    def read(self) -> list[pd.DataFrame]:
        """Everything finished so far."""
        files = sorted(self._parts.glob("*.parquet"))
        whole = self.folder / RECORDS
        return [read_whole(path) for path in ([whole] if whole.exists() else []) + files]

    def add(self, records: pd.DataFrame) -> None:
        """Keep a finished batch."""
        self._write(
            self._parts / f"{uuid.uuid4().hex}.parquet",
            lambda path: records.to_parquet(path, index=False),
        )

    def finish(self, records: pd.DataFrame) -> None:
        """Write the whole run's records and drop the parts."""
        self._write(self.folder / RECORDS, lambda path: records.to_parquet(path, index=False))
        for part in self._parts.glob("*.parquet"):
            part.unlink()

    def write_json(self, name: str, data: dict[str, Any]) -> Path:
        """Write plain data; NaN is refused, since JSON has none."""
        text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
        path = self.folder / name
        self._write(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
        return path

    def _write(self, path: Path, write: Callable[[Path], Any]) -> None:
        temporary = path.with_name(path.name + ".tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            write(temporary)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(
                f"cannot write {path}: {error.strerror or error}; what is finished is kept in "
                f"{self.folder}, the same command goes on from there"
            ) from error

    def _clear(self) -> None:
        for path in [self.folder / RECORDS, self.folder / SUMMARY, *self._parts.glob("*.parquet")]:
            path.unlink(missing_ok=True)


def refuse_another(folder: Path, run: dict[str, Any]) -> None:
    """Let a folder pass that is new or holds this run.

    Raises:
        FileExistsError: It holds another run; the message says in what they differ.
    """
    run, stored = json.loads(json.dumps(run)), _stored_run(folder)
    if stored in (None, run):
        return
    differ = sorted(key for key in {*stored, *run} if stored.get(key) != run.get(key))
    raise FileExistsError(
        f"{folder} holds another run, with other {', '.join(differ)}; "
        "choose another output folder, or overwrite it (--overwrite, overwrite=True)"
    )


def read_whole(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A finished file of a run.

    Raises:
        OSError: It is damaged; the message says how to go on.
    """
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError) as error:  # pyarrow's are ValueErrors
        raise OSError(
            f"{path} is damaged ({error}); delete it, and the same command computes it again"
        ) from error


def _stored_run(folder: Path) -> Any:
    try:
        return json.loads((folder / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise NotADirectoryError(f"{folder} is a file, not an output folder") from error
    except (OSError, ValueError) as error:
        raise OSError(f"{folder / RUN} cannot be read: {error}") from error
