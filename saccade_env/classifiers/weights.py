"""Weights by name: fetched once, kept in the cache, checked before anything reads them.

They lie in the folder ``weights`` of :func:`saccade_env.cache.cache_dir`. A file gets there only if
its size, its hash and every tensor are what the table says. One whose publisher gives no whole hash
is recorded when it first comes, in ``<file>.sha256`` beside it, as ``sha256sum -c`` reads it: the
record outlives the file, and a later download is held against it. With ``$SACCADE_OFFLINE=1``
nothing here touches the network.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from saccade_env.cache import locked
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.download import by_hand, discard, disk_errors, download
from saccade_env.classifiers.weights_file import (
    MismatchError,
    WeightsError,
    check_tensors,
    empty,
    fill,
    from_package,
    load_state_dict,
    sha256,
    tensors_of,
)
from saccade_env.classifiers.weights_table import ALL, GROUPS, TABLE, WeightsFile, members, names
from saccade_env.files import write_text

__all__ = [
    "ALL", "GROUPS", "TABLE", "WeightsError", "WeightsFile", "check_tensors", "empty", "fetch",
    "fill", "from_package", "install", "is_cached", "is_offline", "load", "load_state_dict",
    "members", "names", "record", "shared", "tensors_of", "unfilled",
]  # fmt: skip

_failed: dict[Path, str] = {}  # what could not be fetched in this process, and why


def is_cached(name: str) -> bool:
    """Whether all files of a group are in the cache; cheap, since nothing is hashed.

    Raises:
        ValueError: No such name; the message suggests the nearest.
    """
    return all(file.place.is_file() for file in members(name))


def is_offline() -> bool:
    """Whether the user forbids the network."""
    return os.environ.get("SACCADE_OFFLINE", "0") not in ("", "0")


def fetch(name: str, progress: bool = True, *, retry: bool = False, **how: Any) -> list[Path]:
    """Download what is missing of a group, and check the hash of what is there.

    Args:
        name: Group, entry of :data:`TABLE`, or ``"all"``.
        progress: Show a bar for each file.
        retry: Ask the network even for what could not be had before in this process.
        **how: ``timeout``, ``tries`` and ``backoff``: see
            :func:`saccade_env.classifiers.download.download`.

    Returns:
        The files, in the order of the group.

    Raises:
        ValueError: No such name; the message suggests the nearest.
        WeightsError: A file cannot be had or is not what it should be; the message says what to do.
    """
    files = members(name)
    for file in files:
        if not file.place.is_file():
            _fetch(file, retry, progress=progress, **how)
        elif wrong := _mismatch(file, _hash(file.place)):
            raise MismatchError(
                f"{file.place} was damaged or replaced: {wrong}. Delete it and run "
                f"`saccade-env download {file.group}`.{_trust(file)}"
            )
    return [file.place for file in files]


def install(name: str, folder: str | os.PathLike[str]) -> list[Path]:
    """Take files from a folder instead of the network, under the names they are published by.

    Args:
        name: Group, entry of :data:`TABLE`, or ``"all"``.
        folder: Holds what was downloaded elsewhere, or is the ``weights`` folder of another cache.

    Returns:
        The files that were put into the cache.

    Raises:
        ValueError: No such name; the message suggests the nearest.
        WeightsError: A file is not what it should be, or some are neither there nor in the cache:
            the message lists them, and what was found is installed all the same.
    """
    files, home = members(name), Path(folder).expanduser()
    if not home.is_dir():
        raise WeightsError(f"{home} is no folder; give the one that holds the files")
    installed = [_copy(file, found) for file in files if (found := _found(file, home))]
    missing = [file for file in files if not (installed and file.place.is_file())]
    if missing:
        done = ", ".join(path.name for path in installed) or "nothing"
        wanted = ", ".join(f"{file.published_file} ({file.url})" for file in missing)
        raise WeightsError(f"installed {done}; not in {home}: {wanted}")
    return installed


def load(name: str) -> Any:
    """The network of an entry of :data:`TABLE`, frozen; its weights are fetched if need be.

    Raises:
        WeightsError: They cannot be had, or are not what they should be.
    """
    [found] = fetch(name)
    file = TABLE[name]
    try:
        return _read(file, found)
    except WeightsError as error:
        raise MismatchError(
            f"{found}: {error}. (Delete it and {file.record}, then run `saccade-env download "
            f"{file.group}`.)"
        ) from error


def shared(name: str, device: str | torch.device = "cpu") -> Any:
    """The network of :func:`load` on a device, the same one for all who ask in this process.

    Raises:
        WeightsError: Its weights cannot be had, or are not what they should be.
    """
    return _shared(name, torch.empty(0, device=device).device)  # "cuda" and "cuda:0" are the same


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # whoever asks first: the network stays an ordinary one
def _shared(name: str, device: torch.device) -> nn.Module:
    return load(name).to(device)


def record(name: str) -> Weights:
    """Address and SHA-256 of an entry of :data:`TABLE`; hashed once per process.

    Raises:
        WeightsError: It is not in the cache.
    """
    file = TABLE[name]
    if not file.place.is_file():
        raise WeightsError(f"{name} is not in the cache: run `saccade-env download {file.group}`")
    return Weights(file.url, _hash(file.place))


def _hash(path: Path) -> str:
    found = path.stat()
    return _hash_of(path, found.st_size, found.st_mtime_ns)


@lru_cache
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256(path)  # once per process, unless the file changes


def unfilled(name: str) -> nn.Module:
    """The network of an entry of :data:`TABLE` as it is built, before it is given weights."""
    file = TABLE[name]
    module, _, attribute = file.network.partition(":")
    build = getattr(importlib.import_module(module), attribute)
    return empty(lambda: build(*file.sizes))


def _read(file: WeightsFile, path: Path) -> nn.Module:
    return fill(unfilled(file.name), load_state_dict(path), file.name)


def _found(file: WeightsFile, folder: Path) -> Path | None:
    candidates = (folder / file.published_file, folder / file.file)
    return next((path for path in candidates if path.is_file()), None)


def _fetch(file: WeightsFile, retry: bool, **how: Any) -> None:
    if is_offline():
        raise WeightsError(
            f"{file.place} is missing, and SACCADE_OFFLINE forbids to fetch it; unset that, or "
            f"{by_hand(file.url, file.group)}"
        )
    if file.place in _failed and not retry:
        raise WeightsError(_failed[file.place])
    try:
        with _writing(file):
            if not file.place.is_file():  # nor has another process fetched it meanwhile
                part = file.place.with_name(f"{file.file}.part")
                download(file.url, part, file.group, file.most_bytes, **how)
                _accept(file, part, file.url)
    except WeightsError as error:
        _failed[file.place] = str(error)
        raise
    _failed.pop(file.place, None)


def _copy(file: WeightsFile, source: Path) -> Path:
    copy = file.place.with_name(f"{file.file}.copy")
    with _writing(file):
        if (size := source.stat().st_size) > file.most_bytes:
            raise WeightsError(f"{source} has {size} bytes: more than {file.name} can have")
        try:
            shutil.copyfile(source, copy)
            _accept(file, copy, str(source))
        finally:
            discard(copy)
        discard(file.place.with_name(f"{file.file}.part"))  # of a download no longer needed
    return file.place


@contextmanager
def _writing(file: WeightsFile) -> Iterator[None]:
    """Let one process at a time put this file into the cache."""
    waiting = f"waiting for another process that is fetching {file.file}"
    with disk_errors(file.place), locked(file.place, waiting):
        yield


def _accept(file: WeightsFile, arrived: Path, origin: str) -> None:
    """Move a whole file to its place if it is what it should be; else it is gone."""
    found = sha256(arrived)
    try:
        if wrong := _mismatch(file, found):
            raise MismatchError(
                f"{origin} gave something else than {file.name}: {wrong}. It was not kept; try "
                f"again, or another source.{_trust(file)}"
            )
        try:
            _read(file, arrived)
        except WeightsError as error:
            told = f"{origin} gave no such weights; it was not kept: {error}"
            raise MismatchError(told) from None
    except WeightsError:
        discard(arrived)
        raise
    if len(file.sha256) < len(found):  # the record first: a file must not lie there without it
        write_text(file.record, f"{found}  {file.file}\n")
    os.replace(arrived, file.place)
    discard(arrived)


def _mismatch(file: WeightsFile, found: str) -> str:
    """What is wrong with a hash, by those that are published and recorded; empty if nothing."""
    known = [(file.sha256, "published")]
    if file.record.is_file():
        value = file.record.read_text(encoding="utf-8", errors="replace")[:64]
        known.append((value.ljust(64, "?"), f"recorded in {file.record}"))  # a stump fits nothing
    others = [f"{value} is {who}" for value, who in known if not found.startswith(value)]
    return f"its SHA-256 is {found}, but {' and '.join(others)}" if others else ""


def _trust(file: WeightsFile) -> str:
    if not file.record.is_file():
        return ""
    return f" Only if you trust a new version of it from {file.url}, delete {file.record} too."
