"""The cached weights: where each file is, which hash it must have, and how a new one gets in.

A file whose publisher gives no whole hash is recorded when it first comes, in ``<file>.sha256``
beside it, as ``sha256sum -c`` reads it. The record outlives the file: it is what a later
download is held against.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saccade_env.cache import cache_dir, locked
from saccade_env.classifiers.download import discard, download
from saccade_env.classifiers.weights_file import WeightsError, disk_errors, load_state_dict, sha256
from saccade_env.classifiers.weights_table import WeightsFile, group_of

_digests: dict[tuple[Path, int, int], str] = {}  # what was hashed in this process


def place(file: WeightsFile) -> Path:
    """Where the file is, or will be."""
    return cache_dir() / "weights" / file.file


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once per process unless the file changes."""
    if (state := _state(path)) not in _digests:
        _digests[state] = sha256(path)
    return _digests[state]


def check(file: WeightsFile) -> None:
    """Hold the cached file against the hash that is published or recorded, if any is.

    Raises:
        WeightsError: It has another; the message says what to do.
    """
    if not _known(file):
        return
    if wrong := _mismatch(file, digest(place(file))):
        raise WeightsError(
            f"{place(file)} was damaged or replaced: {wrong}. Delete it and run "
            f"`saccade-env download {group_of(file)}`.{_trust(file)}"
        )


def fetch_file(file: WeightsFile, **how: Any) -> None:
    """Download a file into the cache, unless another process has meanwhile.

    Args:
        file: Which.
        **how: See :func:`saccade_env.classifiers.download.download`.

    Raises:
        WeightsError: It cannot be had or written, or is not what it should be.
    """
    with _writing(file):
        if not place(file).is_file():
            download(file.url, _part(file), group_of(file), **how)
            _accept(file, _part(file), file.url)


def copy_file(file: WeightsFile, source: Path) -> Path:
    """Copy a file into the cache; returns its place there.

    Raises:
        WeightsError: It cannot be read or written, or is not what it should be.
    """
    copy = place(file).with_name(f"{file.file}.copy")
    with _writing(file):
        try:
            shutil.copyfile(source, copy)
            _accept(file, copy, str(source))
        finally:
            discard(copy)
        discard(_part(file))  # of a download that is no longer needed
    return place(file)


def _part(file: WeightsFile) -> Path:
    return place(file).with_name(f"{file.file}.part")


def _state(path: Path) -> tuple[Path, int, int]:
    found = path.stat()
    return path, found.st_size, found.st_mtime_ns


@contextmanager
def _writing(file: WeightsFile) -> Iterator[None]:
    """Let one process at a time put this file into the cache."""
    waiting = f"waiting for another process that is fetching {file.file}"
    with disk_errors(place(file)), locked(place(file), waiting):
        yield


def _accept(file: WeightsFile, arrived: Path, origin: str) -> None:
    """Move a whole file to its place if its hash is right; it is recorded if unpublished."""
    found = sha256(arrived)
    try:
        _verify(file, arrived, found, origin)
    except WeightsError:
        discard(arrived)
        raise
    if not file.sha256:  # the record first: a file must not lie there without it
        _record(file, found)
    os.replace(arrived, place(file))
    _digests[_state(place(file))] = found
    discard(arrived)


def _verify(file: WeightsFile, arrived: Path, found: str, origin: str) -> None:
    if wrong := _mismatch(file, found):
        raise WeightsError(
            f"{origin} gave something else than {file.name}: {wrong}. It was not kept; try again, "
            f"or another source.{_trust(file)}"
        )
    if _known(file):
        return
    try:  # no hash tells whether it is right, but what is another file must not be recorded
        content = load_state_dict(arrived)
    except WeightsError as error:
        raise WeightsError(f"{origin} gave no weights; it was not kept: {error}") from error
    keys = content.get("state_dict", content)
    if lacking := [m for m in file.marks if not any(str(key).endswith(m) for key in keys)]:
        raise WeightsError(
            f"{origin} gave the weights of something else than {file.name}: there is no "
            f"{', '.join(lacking)} in it. It was not kept; get the file from {file.url}"
        )


def _known(file: WeightsFile) -> list[tuple[str, str]]:
    """Hashes the file must begin with, and who says so."""
    known = [(file.sha256, "published"), (file.sha256_prefix, "published as its beginning")]
    record = _record_file(file)
    if record.is_file():
        value = record.read_text(encoding="utf-8", errors="replace")[:64]
        known.append((value.ljust(64, "?"), f"recorded in {record}"))  # a stump matches nothing
    return [(value, who) for value, who in known if value]


def _mismatch(file: WeightsFile, found: str) -> str:
    others = [f"{value} is {who}" for value, who in _known(file) if not found.startswith(value)]
    return f"its SHA-256 is {found}, but {' and '.join(others)}" if others else ""


def _trust(file: WeightsFile) -> str:
    record = _record_file(file)
    if not record.is_file():
        return ""
    return f" Only if you trust a new version of it from {file.url}, delete {record} too."


def _record(file: WeightsFile, found: str) -> None:
    record = _record_file(file)
    new = record.with_name(f"{record.name}.new")
    new.write_text(f"{found}  {file.file}\n", encoding="utf-8")
    os.replace(new, record)


def _record_file(file: WeightsFile) -> Path:
    return place(file).with_name(f"{file.file}.sha256")
