"""What the cache holds, and how it is cleared.

Only files that this package put there are shown and removed, since ``$SACCADE_CACHE`` may be a
folder with other things in it: saliency maps (an SQLite file for every policy and its parameters,
written by ``saccade_env.policies``) and weights. Downloaded pictures are left alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from saccade_env.cache import cache_dir, locked
from saccade_env.errors import unknown_name

ALL = "all"
_MAPS = f"*-{'[0-9a-f]' * 12}.sqlite"
_PATIENCE_S = 10.0  # how long to wait for those who write maps
_BESIDE = {  # what may lie beside a file and goes with it
    "maps": ("", "-journal"),
    "weights": ("", ".part", ".copy"),  # not .sha256, which a later download is held against
}


class Item(NamedTuple):
    """One file of the cache: of what kind, what is in it, how many entries, and where.

    ``entries`` is None for a file that cannot be read.
    """

    kind: str
    what: str
    entries: int | None
    path: Path

    @property
    def size(self) -> int:
        """Bytes, with what lies beside it."""
        return sum(path.stat().st_size for path in _parts(self.kind, self.path) if path.is_file())


class Cleared(NamedTuple):
    """How many entries are gone, and how many bytes."""

    entries: int
    size: int


def items(kind: str = ALL) -> list[Item]:
    """What the cache holds of ``"maps"``, ``"weights"`` or ``"all"``.

    Raises:
        ValueError: No such kind; the message suggests the nearest.
    """
    kinds: dict[str, Callable[[], list[Item]]] = {"maps": _maps, "weights": _weights}
    if kind not in (*kinds, ALL):
        raise unknown_name("part of the cache", kind, (*kinds, ALL))
    return [item for name, find in kinds.items() if kind in (name, ALL) for item in find()]


def clear(kind: str = "maps") -> Cleared:
    """Remove maps, weights or both; waits for a process that is writing them.

    A process that is using the cache goes on: it computes or fetches again what is missing. Maps
    are removed out of their files, which stay, small, as SQLite's must not go while in use.

    Raises:
        OSError: A file cannot be removed, or stays locked.
        ValueError: No such kind; the message suggests the nearest.
    """
    found = items(kind)
    size = sum(item.size for item in found)
    for item in found:
        _REMOVE[item.kind](item.path)
    entries = sum(item.entries or 0 for item in found)
    return Cleared(entries, size - sum(item.size for item in found))


def show(console: Any) -> None:
    """Print a table of what the cache holds, and how much in all, on a rich console."""
    from rich.markup import escape

    from saccade_env.drawing.text import table

    found = items()
    shown = table("Cache", "file", "what", "entries", "MB")
    for item in found:
        entries = "" if item.entries is None else str(item.entries)
        shown.add_row(item.path.name, escape(item.what), entries, megabytes(item.size))
    if found:
        console.print(shown)
    total = megabytes(sum(item.size for item in found))
    console.print(f"{total} MB in {cache_dir()}", highlight=False, markup=False, soft_wrap=True)


def megabytes(size: int) -> str:
    """A number of bytes in megabytes, with two decimals."""
    return f"{size / 1e6:.2f}"


def _maps() -> list[Item]:
    found = (_map_item(path) for path in sorted((cache_dir() / "maps").glob(_MAPS)))
    return [item for item in found if item.entries != 0]


def _map_item(path: Path) -> Item:
    try:
        with closing(_open(path)) as database:
            [description] = database.execute("SELECT description FROM meta").fetchone()
            [count] = database.execute("SELECT count(*) FROM maps").fetchone()
        return Item("maps", f"maps of {_in_short(json.loads(description))}", count, path)
    except (sqlite3.Error, OSError, TypeError, ValueError, KeyError) as error:
        return Item("maps", f"cannot be read ({error}): saccade-env cache clear", None, path)


def _in_short(description: dict[str, Any]) -> str:
    """``"dino (grid 14×14, layer 11, …, cpu)"``: what tells one policy's files apart."""
    policy = dict(description["policy"])
    name, weights = policy.pop("name"), policy.pop("weights", None)
    policy.pop("sees_full_image", None)
    policy.update(policy.pop("parameters", {}))
    told = [f"{key} {_value(value)}" for key, value in policy.items()]
    told += [f"weights {weights['sha256'][:8]}"] if weights else []
    return f"{name} ({', '.join([*told, description['device']])})"


def _value(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return ("×" if len(value) == 2 else "/").join(map(str, value))  # of two: rows × cols


def _weights() -> list[Item]:
    from saccade_env.classifiers.weights_cache import place
    from saccade_env.classifiers.weights_table import TABLE

    return [
        Item("weights", f"weights: {file.what or file.name}", 1, place(file))
        for file in TABLE.values()
        if any(path.is_file() for path in _parts("weights", place(file)))
    ]


def _parts(kind: str, path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _BESIDE[kind]]


def _remove_maps(path: Path) -> None:
    try:
        with closing(_open(path)) as database:
            database.execute("DELETE FROM maps")
            with suppress(sqlite3.OperationalError):  # in use again: room inside is used again too
                database.execute("VACUUM")
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise OSError(f"cannot clear {path}, which another process keeps locked") from error
        if "disk" in str(error):  # full or failing: the file itself may be sound and in use
            raise OSError(f"cannot clear {path}: {error}") from error
        _unlink("maps", path)  # damaged, so that nobody uses it


def _remove_weights(path: Path) -> None:
    with locked(path, f"waiting for another process that is fetching {path.name}"):
        _unlink("weights", path)


_REMOVE = {"maps": _remove_maps, "weights": _remove_weights}


def _unlink(kind: str, path: Path) -> None:
    for part in _parts(kind, path):
        part.unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, timeout=_PATIENCE_S, isolation_level=None, uri=True)
