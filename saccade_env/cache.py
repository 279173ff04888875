"""The folder where downloads are kept, and the lock of those who write there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_USER_CACHE = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def cache_dir() -> Path:
    """Where downloads are kept: ``$SACCADE_CACHE``, else ``saccade_env`` in the user's cache.

    The user's cache is ``$XDG_CACHE_HOME``, else the platform's: ``~/.cache``,
    ``~/Library/Caches`` (macOS) or ``~/AppData/Local`` (Windows). The folder need not exist yet.
    """
    if own := os.environ.get("SACCADE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or _USER_CACHE.get(sys.platform, "~/.cache")
    return Path(shared).expanduser() / "saccade_env"


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Let one process or thread at a time write ``path``; the others wait here.

    The lock is the operating system's on ``<path>.lock``: that of a process that dies is gone
    with it. The empty file stays, since removing it could let two in.

    Args:
        path: What is going to be written; its folder is made.
        waiting: Shown once on standard error if another has the lock.

    Raises:
        OSError: The folder or the lock cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "a", encoding="utf-8") as file:
        _lock(file, waiting)
        try:
            yield
        finally:
            _unlock(file)  # said aloud: a forked child may hold the file open


def _lock(file: IO[str], waiting: str) -> None:
    # Polling: Windows has no wait without an end, and Ctrl-C works everywhere.
    while True:
        try:
            return _try_lock(file)
        except (BlockingIOError, PermissionError):  # taken: POSIX, Windows
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            waiting = ""
            time.sleep(0.1)
