"""Who may write to a run's folder: one process that does the whole run, or one for each shard.

A shard holds a lock of its own, and that of the whole run only while it opens the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from saccade_env.evaluation.shards import WHOLE, Shard

LOCK = ".saccade-lock"
_OPENING_S = 60  # for which a shard waits while others open the folder


def refuse_file(folder: Path) -> None:
    """Let a folder pass, or what is not there.

    Raises:
        NotADirectoryError: It is a file.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not an output folder")


def lock_of(folder: Path, shard: Shard, patience_s: float = 0) -> FileLock:
    """The lock of a shard, or of the whole run; held.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The folder cannot be written.
    """
    refuse_file(folder)
    name = LOCK if shard.is_whole else f"{LOCK}-{shard.index}-of-{shard.count}"
    lock = FileLock(folder / name, timeout=patience_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise _busy(folder) from error
    except OSError as error:
        raise OSError(
            f"cannot write to {folder}: {error.strerror}; choose another output folder"
        ) from error
    return lock


@contextmanager
def no_other(folder: Path, shard: Shard) -> Iterator[None]:
    """Nobody opens the folder meanwhile, and no shard is at work if it is to be one's own."""
    if shard.is_whole:
        refuse_shards(folder)
        yield
        return
    opening = lock_of(folder, WHOLE, _OPENING_S)
    try:
        yield
    finally:
        release(opening)


def refuse_shards(folder: Path, but: str = "") -> None:
    """Refuse a folder that a shard writes to, except the one with this lock."""
    for path in filter(_is_lock, folder.glob(f"{LOCK}-*")):
        lock = FileLock(path, timeout=0)
        if str(path) != but:
            try:
                lock.acquire()
            except Timeout as error:
                raise _busy(folder) from error
            release(lock)  # what a killed shard left


def _is_lock(path: Path) -> bool:
    return bool(re.fullmatch(rf"{re.escape(LOCK)}-\d+-of-\d+", path.name)) and not path.is_dir()


def release(lock: FileLock) -> None:
    """Let others have it, if it is held."""
    if lock.is_locked:
        with suppress(OSError):  # Windows removes no open file
            Path(lock.lock_file).unlink()
        lock.release()


def _busy(folder: Path) -> BlockingIOError:
    return BlockingIOError(
        f"another process is writing to {folder}; wait for it, or choose another output folder"
    )
