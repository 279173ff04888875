"""Weights by name: fetched once, kept in the cache, checked before anything reads them.

They lie in the folder ``weights`` of :func:`saccade_env.cache.cache_dir`. With
``$SACCADE_OFFLINE=1`` nothing here touches the network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.download import by_hand
from saccade_env.classifiers.weights_cache import check, copy_file, digest, fetch_file, place
from saccade_env.classifiers.weights_file import (
    WeightsError,
    check_keys,
    from_package,
    load_state_dict,
    sha256,
)
from saccade_env.classifiers.weights_table import (
    ALL,
    GROUPS,
    TABLE,
    WeightsFile,
    group_of,
    members,
    names,
    single,
)

__all__ = [
    "ALL",
    "GROUPS",
    "TABLE",
    "WeightsError",
    "WeightsFile",
    "check_keys",
    "fetch",
    "from_package",
    "install",
    "is_cached",
    "load",
    "load_state_dict",
    "names",
    "path",
    "record",
    "sha256",
]

_failed: dict[Path, str] = {}  # what could not be fetched in this process, and why


def path(name: str) -> Path:
    """Where the one file of this name is, or will be.

    Raises:
        ValueError: No such name, or one that stands for several files.
    """
    return place(single(name))


def is_cached(name: str) -> bool:
    """Whether all files of a group are in the cache; cheap, since nothing is hashed.

    Raises:
        ValueError: No such name; the message suggests the nearest.
    """
    return all(place(file).is_file() for file in members(name))


def fetch(name: str, progress: bool = True, *, retry: bool = False, **how: Any) -> list[Path]:
    """Download what is missing of a group, and check what is there.

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
        WeightsError: A file cannot be had or has another hash; the message says what to do.
    """
    files = members(name)
    for file in files:
        if place(file).is_file():
            check(file)
        else:
            _fetch(file, retry, progress=progress, **how)
    return [place(file) for file in files]


def install(name: str, folder: str | os.PathLike[str]) -> list[Path]:
    """Take files from a folder instead of the network, under the names they are published by.

    Args:
        name: Group, entry of :data:`TABLE`, or ``"all"``.
        folder: Holds what was downloaded elsewhere, or is the ``weights`` folder of another cache.

    Returns:
        The files that were put into the cache.

    Raises:
        ValueError: No such name; the message suggests the nearest.
        WeightsError: A file has another hash, or some are neither there nor in the cache: the
            message lists them, and what was found is installed all the same.
    """
    files, home = members(name), Path(folder).expanduser()
    if not home.is_dir():
        raise WeightsError(f"{home} is no folder; give the one that holds the files")
    installed = [copy_file(file, found) for file in files if (found := _found(file, home))]
    missing = [file for file in files if not (installed and is_cached(file.name))]
    if missing:
        done = ", ".join(path.name for path in installed) or "nothing"
        wanted = ", ".join(f"{file.published_file} ({file.url})" for file in missing)
        raise WeightsError(f"installed {done}; not in {home}: {wanted}")
    return installed


def load(name: str) -> dict[str, Tensor]:
    """Tensors of the one file of this name, fetched if it is not here; nothing in it is executed.

    A state dict that is nested under ``"state_dict"``, as in a checkpoint, is taken out.

    Raises:
        ValueError: No such name, or one that stands for several files.
        WeightsError: It cannot be had, has another hash, or holds something else.
    """
    [found] = fetch(single(name).name)
    content = load_state_dict(found)
    tensors = content.get("state_dict", content)
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise WeightsError(f"{found} holds more than tensors; delete it and get it again")
    return tensors


def record(name: str) -> Weights:
    """Address and SHA-256 of the one file of this name; hashed once per process.

    Raises:
        ValueError: No such name, or one that stands for several files.
        WeightsError: It is not in the cache.
    """
    file = single(name)
    if not is_cached(name):
        raise WeightsError(
            f"{name} is not in the cache: run `saccade-env download {group_of(file)}`"
        )
    return Weights(file.url, digest(place(file)))


def _found(file: WeightsFile, folder: Path) -> Path | None:
    candidates = (folder / file.published_file, folder / file.file)
    return next((path for path in candidates if path.is_file()), None)


def _fetch(file: WeightsFile, retry: bool, **how: Any) -> None:
    target = place(file)
    if os.environ.get("SACCADE_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(
            f"{target} is missing, and SACCADE_OFFLINE forbids to fetch it; unset that, or "
            f"{by_hand(file.url, group_of(file))}"
        )
    if target in _failed and not retry:
        raise WeightsError(_failed[target])
    try:
        fetch_file(file, **how)
    except WeightsError as error:
        _failed[target] = str(error)
        raise
    _failed.pop(target, None)
