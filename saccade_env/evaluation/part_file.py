"""Finished images of a run as a Parquet file that can be told from any other.

It carries the run and a hash of its values, and each of its pages a checksum, so that a damaged
file, or one of another run, is known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from saccade_env.evaluation.records import Part
from saccade_env.files import MADE_BY, replacing

FORMAT = 1  # of the metadata
MARK = MADE_BY.encode()


def write_part(path: Path, part: Part, run: dict[str, Any]) -> None:
    """Write finished images in one piece.

    Raises:
        OSError: It cannot be written.
    """
    table = pa.Table.from_pandas(part.records, preserve_index=False)
    mark = {"format": FORMAT, "run": run, "values": _values(table, part.broken)[1]}
    beside = {"skipped": part.broken, "seconds": part.seconds}
    told = json.dumps(mark | {name: value for name, value in beside.items() if value})
    table = table.replace_schema_metadata({**table.schema.metadata, MARK: told.encode()})
    with replacing(path) as temporary, temporary.open("wb") as raw:
        pq.write_table(table, raw, write_page_checksum=True)


def read_part(path: Path, run: dict[str, Any], check: Callable[[pd.DataFrame], None]) -> Part:
    """A file of finished images.

    Args:
        path: The file.
        run: The run that it must be of.
        check: Raises a ValueError for records that this run cannot have made.

    Raises:
        OSError: It is damaged, of another run, or does not pass the check; the message names it.
    """
    try:
        part, own = _load(path)
        if own != run:
            raise ValueError(f"it is of another run, with other {difference(own, run)}")
        if len(part.records):
            check(part.records)
    except ValueError as error:
        raise OSError(f"{path} cannot be used: {error}") from error
    return part


def read_whole(path: Path) -> pd.DataFrame:
    """A finished file of a run.

    Raises:
        OSError: It is damaged, or no run wrote it; the message names it.
    """
    try:
        return _load(path)[0].records
    except ValueError as error:
        raise OSError(
            f"{path} cannot be used: {error}; move it away, and the same command computes it again"
        ) from error


def difference(run: dict[str, Any], other: dict[str, Any]) -> str:
    """In what two runs differ."""
    return ", ".join(sorted(key for key in {*run, *other} if run.get(key) != other.get(key)))


def _load(path: Path) -> tuple[Part, dict[str, Any]]:
    """What is in a Parquet file that a run wrote, and this run.

    Raises:
        ValueError: It is damaged or foreign.
    """
    if not path.is_file():  # a pipe would never end
        raise ValueError("it is no regular file")
    try:
        with path.open("rb") as raw, pq.ParquetFile(raw, page_checksum_verification=True) as file:
            table = file.read()
        mark = json.loads((table.schema.metadata or {}).get(MARK, "{}"))
        broken = mark.get("skipped", []) if isinstance(mark, dict) else []
        frame, values = _values(table, broken)
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise ValueError(f"it is damaged ({error})") from error
    if not isinstance(mark, dict) or mark.get("format") != FORMAT or "run" not in mark:
        raise ValueError("its metadata name no run; something else wrote it, or an older version")
    if mark.get("values") != values:
        raise ValueError("it is damaged (its values are not those that were written)")
    return Part(frame, broken, mark.get("seconds", {})), mark["run"]


def _values(table: pa.Table, broken: list[dict[str, str]]) -> tuple[pd.DataFrame, str]:
    """A table's values, and a hash of its columns and values, and of what could not be read."""
    frame = table.to_pandas(ignore_metadata=True)
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    columns = "\n".join(f"{field.name} {field.type}" for field in table.schema)
    told = json.dumps(broken).encode() if broken else b""
    return frame, hashlib.sha256(columns.encode() + rows.tobytes() + told).hexdigest()
