"""Which pictures a collection holds, by their bytes: read once, and remembered.

The hash of a picture is kept in the cache under what the operating system says of the file it is
in: path, size, inode, and when it was modified and changed, in nanoseconds. The last of these
cannot be set, so a file replaced by another of the same size and date is noticed.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

from tqdm.auto import tqdm

from saccade_env.cache import cache_dir
from saccade_env.files import read_object, write_json
from saccade_env.images.storage import Storage, seal

_WORTH_KEEPING = 2000  # pictures: fewer are read anew every time
_SETTLED_NS = 3 * 10**9  # clocks of file systems tick every two seconds at worst


class _Content(NamedTuple):
    key: str  # what the hash is kept under
    changed: int  # the file, in nanoseconds
    sha256: str


_UNREADABLE = _Content("", 0, "unreadable")


def contents(storage: Storage, places: list[int]) -> list[str]:
    """Sha256 (hex) of the bytes of each picture, ``"unreadable"`` for one that cannot be read.

    A bar shows what takes longer than two seconds.
    """
    name = hashlib.sha256(os.fsencode(storage.root)).hexdigest()
    kept_at = cache_dir() / "identities" / f"{name}.json"
    known: dict[str, object] = {}
    if worth_keeping := len(places) >= _WORTH_KEEPING:
        with suppress(OSError):
            known = read_object(kept_at)
    read, begun = partial(_content, storage, known), time.time_ns()
    found, kept = list[str](), dict[str, object]()
    with ThreadPool(min(8, (os.cpu_count() or 1) + 2)) as pool:
        parts = pool.imap(read, places, chunksize=16)
        title = f"reading {os.path.basename(storage.root)} once"
        try:
            for part in tqdm(parts, title, len(places), delay=2, disable=None):
                found.append(part.sha256)
                if part.key and part.changed < begun - _SETTLED_NS:
                    kept[part.key] = part.sha256
        finally:  # also when it is stopped half-way
            if worth_keeping and not kept.keys() <= known.keys():
                with suppress(OSError):
                    write_json(kept_at, kept if len(found) == len(places) else {**known, **kept})
    return found


def _content(storage: Storage, known: dict[str, object], place: int) -> _Content:
    digest, key, changed = hashlib.sha256(), "", time.time_ns()
    try:
        if found := storage.file_of(place):
            now = os.stat(found[0])
            changed = now.st_ctime_ns
            what = *found, *seal(now)
            key = hashlib.sha256(repr(what).encode()).hexdigest()[:32]
            if isinstance(kept := known.get(key), str):
                return _Content(key, changed, kept)
        with storage.open(place) as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except (OSError, ValueError):
        return _UNREADABLE
    return _Content(key, changed, digest.hexdigest())
