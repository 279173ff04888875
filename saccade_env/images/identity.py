"""Which pictures a folder holds, by what is in the files: read once, and remembered.

The hash of a file is kept in the cache under what the operating system says of it: path, size,
inode, and when it was modified and changed, in nanoseconds. The last of these cannot be set, so a
file replaced by another of the same size and date is noticed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm.auto import tqdm

from saccade_env.cache import cache_dir
from saccade_env.files import read_object, write_json

_WORTH_KEEPING = 2000  # files: fewer are read anew every time
_SETTLED_NS = 3 * 10**9  # clocks of file systems tick every two seconds at worst


def contents(root: Path, paths: Sequence[str]) -> list[str]:
    """Sha256 (hex) of each file below ``root``, ``"unreadable"`` for one that cannot be read.

    A bar shows what takes longer than two seconds.
    """
    place = cache_dir() / "identities" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()}.json"
    known: dict[str, object] = {}
    if worth_keeping := len(paths) >= _WORTH_KEEPING:
        with suppress(OSError):
            known = read_object(place)
    read, begun = partial(_content, root, known), time.time_ns()
    found, kept = list[str](), dict[str, object]()
    with ThreadPool(min(8, (os.cpu_count() or 1) + 2)) as pool:
        parts = pool.imap(read, paths, chunksize=16)
        try:
            for key, changed, part in tqdm(
                parts, f"reading {root.name} once", len(paths), delay=2, disable=None
            ):
                found.append(part)
                if part != "unreadable" and changed < begun - _SETTLED_NS:
                    kept[key] = part
        finally:  # also when it is stopped half-way
            if worth_keeping and not kept.keys() <= known.keys():
                with suppress(OSError):
                    write_json(place, kept if len(found) == len(paths) else {**known, **kept})
    return found


def _content(root: Path, known: dict[str, object], path: str) -> tuple[str, int, str]:
    """What a hash is kept under, when the file changed, and the hash."""
    digest = hashlib.sha256()
    try:
        now = os.stat(root / path)
        what = os.fsencode(path), now.st_size, now.st_ino, now.st_mtime_ns, now.st_ctime_ns
        key = hashlib.sha256(repr(what).encode()).hexdigest()[:32]
        if isinstance(kept := known.get(key), str):
            return key, now.st_ctime_ns, kept
        with open(root / path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError:
        return "", 0, "unreadable"
    return key, now.st_ctime_ns, digest.hexdigest()
