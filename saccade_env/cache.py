"""The folder where downloads are kept, and the lock of those who write there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout


def cache_dir() -> Path:
    """Where downloads are kept: ``$SACCADE_CACHE``, else ``saccade_env`` in the user's cache.

    The user's cache is the platform's, such as ``~/.cache``, and ``$XDG_CACHE_HOME`` on Linux. The
    folder need not exist yet.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if own := os.environ.get("SACCADE_CACHE"):
        return Path(own).expanduser()
    folder = platformdirs.user_cache_path("saccade_env", appauthor=False, opinion=False)
    if not folder.is_absolute():
        raise RuntimeError(f"there is no folder for downloads ({folder}): set SACCADE_CACHE")
    return folder


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Let one process or thread at a time write ``path``; the others wait here.

    The lock is the operating system's on ``<path>.lock``: that of a process that dies is gone.

    Args:
        path: What is going to be written; its folder is made.
        waiting: Shown once on standard error if another has the lock.

    Raises:
        OSError: The folder or the lock cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(waiting, file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
