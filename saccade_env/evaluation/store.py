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
        if self._holds_another(run):
            if not overwrite:
                raise FileExistsError(self._conflict(run))
            self._clear()
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
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
        return [pd.read_parquet(path) for path in ([whole] if whole.exists() else []) + files]

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
            write(temporary)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(
                f"cannot write {path}: {error.strerror or error}; what is finished is kept in "
                f"{self.folder}, the same command goes on from there"
            ) from error

    def _stored_run(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.folder / RUN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise NotADirectoryError(f"{self.folder} is a file, not an output folder") from error
        except (OSError, ValueError) as error:
            raise OSError(f"{self.folder / RUN} cannot be read: {error}") from error

    def _holds_another(self, run: dict[str, Any]) -> bool:
        stored = self._stored_run()
        return stored is not None and stored != run

    def _conflict(self, run: dict[str, Any]) -> str:
        stored = self._stored_run() or {}
        differ = sorted(
            key for key in stored.keys() | run.keys() if stored.get(key) != run.get(key)
        )
        return (
            f"{self.folder} holds another run, with other {', '.join(differ)}; "
            "choose another output folder, or overwrite it (--overwrite, overwrite=True)"
        )

    def _clear(self) -> None:
        for path in [self.folder / RECORDS, self.folder / SUMMARY, *self._parts.glob("*.parquet")]:
            path.unlink(missing_ok=True)
