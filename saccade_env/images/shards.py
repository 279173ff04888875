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
from saccade_env.images.labels import word_of
from saccade_env.images.scan import is_picture
from saccade_env.images.storage import Shards, seal

SUFFIX = ".tar"
_FIELDS = ("cls", "label", "class", "class_index", "wnid", "synset")  # of a .json, the first counts
_FORM = 2  # of what is kept in the cache
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
        FileNotFoundError: Some are not there; the message names the first.
        ValueError: Braces do not match, or a file comes twice.
    """
    import braceexpand

    paths: list[Path] = []
    try:
        for text in braceexpand.braceexpand(str(pattern)):
            if not Path(text).is_file():
                raise FileNotFoundError(f"a shard of {printable(pattern)} is not there: {text}")
            paths.append(Path(text))
    except ValueError as error:
        raise ValueError(f"braces of {printable(pattern)} do not match") from error
    if len({*paths}) < len(paths):
        raise ValueError(f"{printable(pattern)} names a shard twice")
    return paths


def of_one_split(paths: Sequence[Path]) -> list[Path]:
    """Let shards pass whose names differ by a number alone.

    Raises:
        ValueError: There are several splits among them; the message gives a pattern for each.
    """
    splits: dict[str, list[Path]] = {}
    for path in sorted(paths):
        splits.setdefault(short_name(path.name), []).append(path)
    if len(splits) > 1:
        found = ", ".join(f"{len(each)} like {each[0].name}" for each in splits.values())
        one, *_, other = [*splits.values()][-1] * 2
        names = f"{{{one.stem},{other.stem}}}" if one != other else one.stem
        raise ValueError(
            f"{one.parent} holds shards of several names: {found}; choose some by a pattern, such "
            f"as '{one.parent / names}.tar', or with {{000..999}} for numbers"
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
    ids, parts, words = list[str](), list[tuple[int, int, int]](), list[str | None]()
    left_out: Counter[str] = Counter()
    seals, seen = [], dict[str, Path]()
    bar = tqdm(files, f"indexing {root.name}", unit="shard", delay=2, disable=None)
    for number, file in enumerate(bar):
        found = _members(file)
        left_out.update(found["left_out"])
        seals.append(found["seal"])
        held = repr([(name, length) for name, _, length, _ in found["pictures"]])
        if (other := seen.setdefault(held, file)) != file and found["pictures"]:
            raise ValueError(f"{file} and {other} hold the same pictures")
        for name, start, length, word in found["pictures"]:
            ids.append(f"{printable(file.name.removesuffix(SUFFIX))}/{name}")
            parts.append((number, start, length))
            words.append(word)
    where = printable(root)
    if not ids:
        raise FileNotFoundError(f"no picture in {where} ({len(files)} tar files looked through)")
    if twice := next((id for id, count in Counter(ids).items() if count > 1), None):
        raise ValueError(f"{twice!r} comes twice in {where}: shards need names of their own")
    notes = [f"left out: {_listed(left_out)}"] * bool(left_out)
    storage = Shards(str(root), [str(file) for file in files], seals, parts)
    unlabelled = words.count(None)
    if unlabelled == len(words):
        known = f"no labels: no .cls, and no .json with one of {', '.join(_FIELDS)}"
        return Found(storage, ids, None, [*notes, known])
    if unlabelled:
        raise ValueError(
            f"{unlabelled} of {len(ids)} pictures in {where} have neither .cls nor .json with a "
            f"class ({', '.join(_FIELDS)}), such as {ids[words.index(None)]!r}"
        )
    return Found(storage, ids, [str(word) for word in words], notes)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def _members(file: Path) -> dict[str, Any]:
    """Pictures of a shard (name, start, length, class), from the cache if it did not change."""
    sealed = {"form": _FORM, "seal": seal(os.stat(file))}
    name = hashlib.sha256(os.fsencode(file)).hexdigest()
    place = cache_dir() / "shards" / f"{name}.json"
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):  # of another form
        kept = read_object(place)
        if sealed.items() <= kept.items() and _is_index(kept):
            return kept
    found = {**sealed, **_read(file)}
    with suppress(OSError):
        write_json(place, found)
    return found


def _is_index(kept: dict[str, Any]) -> bool:
    """Whether what was kept is of the form that :func:`_read` gives."""
    size = kept["seal"][0]
    return all(isinstance(count, int) for count in kept["left_out"].values()) and all(
        isinstance(name, str)
        and (word is None or isinstance(word, str))
        and 0 <= start <= start + length <= size
        for name, start, length, word in kept["pictures"]
    )


def _read(file: Path) -> dict[str, Any]:
    pictures: dict[str, list[Any]] = {}
    classes: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, kind = base.partition(".")  # as WebDataset has it: up to the first dot
                key, kind = printable(f"{folder}/{stem}" if folder else stem), kind.lower()
                if member.isdir() or not stem:  # .DS_Store, ._a.jpg
                    continue
                what = f"{file}: {printable(member.name)}"
                if member.issym() or member.islnk():
                    raise ValueError(f"{what} is a link; pack its contents (--hard-dereference)")
                if "." not in kind and is_picture(base):
                    if key in pictures:
                        raise ValueError(f"{file}: key {key!r} has two pictures")
                    where = member.offset_data, member.size
                    pictures[key] = [printable(member.name), *where]
                elif kind in ("cls", "json") and (stream := archive.extractfile(member)):
                    word = _class(what, kind, stream.read())
                    if word is not None and classes.setdefault(key, word) != word:
                        raise ValueError(f"{what} says {word!r}, another file {classes[key]!r}")
                elif kind not in ("txt", "__key__"):
                    left_out[f".{printable(kind)}"] += 1
            end = archive.offset
    except tarfile.TarError as error:
        raise OSError(f"{file} is no whole, uncompressed tar file: {error}") from error
    _check_end(file, end)
    rows = [[*where, classes.get(key)] for key, where in pictures.items()]
    return {"pictures": rows, "left_out": dict(left_out)}


def _check_end(file: Path, end: int) -> None:
    """Refuse an archive that does not end where its members do: Python's reader would not."""
    with file.open("rb") as stream:
        stream.seek(end)
        rest = stream.read(2**20)
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise OSError(
            f"{file} is damaged, cut short, or several archives in one: what is at byte {end} is "
            "not the end of a tar file"
        )


def _class(what: str, kind: str, data: bytes) -> str | None:
    try:
        if kind == "cls":
            return word_of(data.decode(), what)
        fields = json.loads(data)
        said = next((fields[field] for field in _FIELDS if fields.get(field) is not None), None)
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{what} says no class: {error}") from error
    return word_of(said, what)
