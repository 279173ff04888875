"""Tar shards as WebDataset writes them: pictures beside ``.cls`` or ``.json`` files of one key.

A shard is indexed once: where in it each picture lies, and its class. The index is kept in the
cache until the file changes, and pictures are read at random from the shard as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from saccade_env.cache import cache_dir
from saccade_env.files import printable, read_object, write_json
from saccade_env.images.scan import is_picture
from saccade_env.images.storage import Shards

SUFFIX = ".tar"
_FIELDS = ("cls", "label", "class", "class_index", "wnid", "synset")  # of a .json, the first counts
_FORM = 1  # of what is kept in the cache
_NUMBER = re.compile(r"\d+$")


class Found(NamedTuple):
    """What shards hold."""

    storage: Shards
    ids: list[str]
    words: list[str] | None
    notes: list[str]


def is_pattern(text: str) -> bool:
    """Whether a text may be a pattern of shards: ``val-{000..063}.tar``."""
    return "{" in text and text.endswith(SUFFIX)


def expand(pattern: Path) -> list[Path]:
    """The files of a pattern.

    Raises:
        FileNotFoundError: One is not there; the message names it.
        ValueError: Braces do not match.
    """
    import braceexpand

    try:
        paths = [Path(text) for text in braceexpand.braceexpand(str(pattern))]
    except ValueError as error:
        raise ValueError(f"braces of {pattern} do not match") from error
    if missing := [path for path in paths if not path.is_file()]:
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} shards are not there, such as {missing[0]}"
        )
    return paths


def of_one_split(paths: Sequence[Path]) -> list[Path]:
    """Let shards pass whose names differ by a number alone.

    Raises:
        ValueError: There are several splits among them, or one was unpacked into two.
    """
    counts = Counter(short_name(path.name) for path in paths)
    if len(counts) > 1:
        found = ", ".join(f"{name} ({count} files)" for name, count in sorted(counts.items()))
        raise ValueError(
            f"{paths[0].parent} holds shards of several names: {found}; choose by a pattern, such "
            f"as '{paths[0].parent / short_name(paths[-1].name)}-{{000..{len(paths)}}}.tar'"
        )
    return sorted(paths)


def short_name(name: str) -> str:
    """Name of shards without what counts them."""
    stem = re.sub(r"\{.*\}", "0", name.removesuffix(SUFFIX))
    return _NUMBER.sub("", stem).rstrip("-_. ") or stem


def index(root: Path, files: Sequence[Path]) -> Found:
    """See what is in shards.

    Raises:
        OSError: One cannot be read, or is no tar file; the message names it.
        ValueError: A key comes twice in a shard, only some pictures have a class, or there is none.
    """
    ids, parts, words = [], [], list[str | None]()
    left_out: Counter[str] = Counter()
    bar = tqdm(files, f"indexing {root.name}", unit="shard", delay=2, disable=None)
    for number, file in enumerate(bar):
        found = _members(file)
        left_out.update(found["left_out"])
        for name, start, length, word in found["pictures"]:
            ids.append(printable(f"{file.name.removesuffix(SUFFIX)}/{name}"))
            parts.append((number, start, length))
            words.append(word)
    if not ids:
        raise FileNotFoundError(f"no picture in {root} ({len(files)} tar files looked through)")
    if unlabelled := words.count(None):
        if unlabelled < len(words):
            first = ids[words.index(None)]
            raise ValueError(
                f"{unlabelled} of {len(ids)} pictures in {root} have neither .cls nor .json "
                f"with a class ({', '.join(_FIELDS)}), such as {first!r}"
            )
        return Found(_storage(root, files, parts), ids, None, _notes(left_out))
    return Found(_storage(root, files, parts), ids, [str(word) for word in words], _notes(left_out))


def _storage(root: Path, files: Sequence[Path], parts: list[tuple[int, int, int]]) -> Shards:
    return Shards(str(root), [str(file) for file in files], parts)


def _notes(left_out: Counter[str]) -> list[str]:
    counts = ", ".join(f"{count} {what}" for what, count in left_out.most_common())
    return [f"left out: {counts}"] * bool(counts)


def _members(file: Path) -> dict[str, Any]:
    """Pictures of a shard (name, start, length, class), from the cache if it did not change."""
    now = os.stat(file)
    seal = [_FORM, now.st_size, now.st_ino, now.st_mtime_ns, now.st_ctime_ns]
    name = hashlib.sha256(os.fsencode(file)).hexdigest()
    place = cache_dir() / "shards" / f"{name}.json"
    with suppress(OSError):
        kept = read_object(place)
        if kept.get("seal") == seal:
            return kept
    found = {"seal": seal, **_read(file)}
    with suppress(OSError):
        write_json(place, found)
    return found


def _read(file: Path) -> dict[str, Any]:
    pictures: dict[str, list[Any]] = {}
    classes: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                key, _, kind = member.name.rpartition(".")
                if is_picture(member.name):
                    if key in pictures:
                        raise ValueError(f"{file}: key {key!r} has two pictures")
                    pictures[key] = [member.name, member.offset_data, member.size]
                elif kind in ("cls", "json") and (stream := archive.extractfile(member)):
                    if word := _class(file, member.name, stream.read()):
                        classes[key] = word if kind == "cls" else classes.get(key, word)
                elif kind not in ("txt", "__key__"):
                    left_out[f".{printable(kind)}"] += 1
    except tarfile.TarError as error:
        raise OSError(f"{file} is no whole, uncompressed tar file: {error}") from error
    rows = [[*where, classes.get(key)] for key, where in pictures.items()]
    return {"pictures": rows, "left_out": left_out}


def _class(file: Path, name: str, data: bytes) -> str | None:
    try:
        if name.endswith(".cls"):
            return data.decode().strip()
        fields = json.loads(data)
        return next((str(fields[field]) for field in _FIELDS if field in fields), None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: {name} says no class: {error}") from error
