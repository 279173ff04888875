"""`saccade-env cache`: what the cache holds, and how it is cleared.

Only files that this package put there are shown and removed, since ``$SACCADE_CACHE`` may be a
folder with other things in it: saliency maps (an SQLite file for every policy and its parameters,
written by ``saccade_env.policies``), weights, and what is known of the files of images. Downloaded
pictures are left alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from saccade_env.cache import cache_dir, locked
from saccade_env.cli.root import app
from saccade_env.errors import unknown_name

ALL = "all"
_MAPS = f"*-{'[0-9a-f]' * 12}.sqlite"
_PATIENCE_S = 10.0  # how long to wait for those who write maps
_BESIDE = {  # what may lie beside a file and goes with it
    "maps": ("", "-journal"),
    "weights": ("", ".part", ".part.version", ".copy"),  # not .sha256, which a later one is held to
}
_IMAGES = {"identities": "hashes of pictures", "shards": "where pictures lie in a tar shard"}
# SQLite's words (sqlite3_errstr) for what is no fault of the file itself. The codes of errors are
# told from Python 3.11 on; damage is no OperationalError, and in other words.
_LOCKED = ("database is locked", "database table is locked")
_DISK = ("database or disk is full", "disk I/O error")

cache_app = typer.Typer(no_args_is_help=True)
app.add_typer(cache_app, name="cache", help="Show or clear what is kept on disk: maps, weights, …")


class Item(NamedTuple):
    """A file of the cache, or a folder of small ones: kind, what is in it, entries, and where.

    ``entries`` is None for a file that cannot be read.
    """

    kind: str
    what: str
    entries: int | None
    path: Path

    @property
    def parts(self) -> list[Path]:
        """The file and what lies beside it, or the files of the folder."""
        if self.kind == "images":
            return sorted(self.path.glob(f"{'[0-9a-f]' * 64}.json"))
        paths = (self.path.with_name(self.path.name + suffix) for suffix in _BESIDE[self.kind])
        return [path for path in paths if path.is_file()]

    @property
    def size(self) -> int:
        """Bytes of all that."""
        return sum(path.stat().st_size for path in self.parts)

    def remove(self) -> None:
        """Remove all that."""
        for part in self.parts:
            part.unlink(missing_ok=True)


@cache_app.command("info")
def cache_info() -> None:
    """Show what the cache holds, where it is and how big."""
    from rich.console import Console
    from rich.markup import escape

    from saccade_env.drawing.text import table

    console, found = Console(), items()
    shown = table("Cache", "file", "what", "entries", "MB")
    for item in found:
        entries = "" if item.entries is None else str(item.entries)
        shown.add_row(item.path.name, escape(item.what), entries, _megabytes(item.size))
    if found:
        console.print(shown)
    total = _megabytes(sum(item.size for item in found))
    console.print(f"{total} MB in {cache_dir()}", highlight=False, markup=False, soft_wrap=True)


@cache_app.command("clear")
def cache_clear(
    what: Annotated[str, typer.Argument(help="maps, weights, images or all.")] = "maps",
    yes: Annotated[bool, typer.Option("--yes", help="Remove weights without asking.")] = False,
) -> None:
    """Remove what the cache holds; it is computed or downloaded again when needed."""
    count = len([item for item in items(what) if item.kind == "weights"])
    if count and not yes:
        typer.confirm(f"remove {count} weights, to be downloaded when needed?", abort=True)
    entries, size = clear(what)
    typer.echo(f"removed {what}: entries {entries}, MB {_megabytes(size)}")


def items(kind: str = ALL) -> list[Item]:
    """What the cache holds of ``"maps"``, ``"weights"``, ``"images"`` or ``"all"``.

    Raises:
        ValueError: No such kind; the message suggests the nearest.
    """
    kinds: dict[str, Callable[[], list[Item]]] = {
        "maps": _maps,
        "weights": _weights,
        "images": _known_images,
    }
    if kind not in (*kinds, ALL):
        raise unknown_name("part of the cache", kind, (*kinds, ALL))
    return [item for name, find in kinds.items() if kind in (name, ALL) for item in find()]


def clear(kind: str = "maps") -> tuple[int, int]:
    """Remove maps, weights or what is known of images; waits for a process that writes them.

    A process that is using the cache goes on: it computes or fetches again what is missing. Maps
    are removed out of their files, which stay, small, as SQLite's must not go while in use.

    Returns:
        How many entries are gone, and how many bytes.

    Raises:
        OSError: A file cannot be removed, or stays locked.
        ValueError: No such kind; the message suggests the nearest.
    """
    found = items(kind)
    size = sum(item.size for item in found)
    for item in found:
        if item.kind == "maps":
            _clear_maps(item)
        elif item.kind == "images":  # written in one piece
            item.remove()
        else:
            with locked(item.path, f"waiting for another process that fetches {item.path.name}"):
                item.remove()
    return sum(item.entries or 0 for item in found), size - sum(item.size for item in found)


def _megabytes(size: int) -> str:
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
    from saccade_env.classifiers.weights_table import TABLE

    found = (Item("weights", f"weights: {file.what}", 1, file.place) for file in TABLE.values())
    return [item for item in found if item.parts]


def _known_images() -> list[Item]:
    found = (Item("images", what, None, cache_dir() / name) for name, what in _IMAGES.items())
    return [item._replace(entries=len(item.parts)) for item in found if item.parts]


def _clear_maps(item: Item) -> None:
    try:
        with closing(_open(item.path)) as database:
            database.execute("DELETE FROM maps")
            with suppress(sqlite3.OperationalError):  # in use again: room inside is used again too
                database.execute("VACUUM")
    except sqlite3.Error as error:
        if str(error) in _LOCKED:
            raise OSError(f"cannot clear {item.path}: another process keeps it locked") from error
        if str(error) in _DISK:  # the file itself may be sound and in use
            raise OSError(f"cannot clear {item.path}: {error}") from error
        item.remove()  # damaged, so that nobody uses it


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, timeout=_PATIENCE_S, isolation_level=None, uri=True)
