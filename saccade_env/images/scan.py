r"""What is in a folder of pictures: every real file once, and a count of what is left out.

Nothing is opened. Links are followed, but not to a folder that holds the link, and a file that is
reached twice counts under its own path. Hidden files and texts are passed over; anything else that
is no picture, or that this package wrote, is counted.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Set
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from saccade_env import files

SPLITS = ("val", "validation", "valid", "test", "train")
OUTPUTS = ("saccade-runs", "scanpath.gif")  # where commands write unless told otherwise
_PICTURES = ".jpg .jpeg .jpe .jfif .png .gif .webp .avif .tif .tiff .bmp .ppm .pgm .pbm .pnm"
_TEXTS = ".txt .md .rst .csv .tsv .json .jsonl .xml .html .yaml .yml .toml .log .py .pdf .parquet"
_OF_SYSTEMS = ("lost+found", "$RECYCLE.BIN", "System Volume Information")


class Found(NamedTuple):
    """What is in a folder.

    ``paths`` maps ids, sorted, to paths relative to the folder. An id is the path with forward
    slashes as text that is always UTF-8: bytes that are not are escaped, backslashes doubled.
    ``classes`` are the class folders, empty without any; ``left_out`` says what, in words.
    """

    paths: dict[str, str]
    classes: list[str]
    left_out: str


def scan(root: Path, classes: bool = True) -> Found:
    """List the pictures below ``root``.

    Args:
        root: The folder.
        classes: Folders in it are classes, if there are any; False takes pictures wherever.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
        NotADirectoryError: It is a file.
        OSError: A folder cannot be listed; the message names it.
        ValueError: It only holds splits (``train``, ``val``, …), or links show one picture in two
            class folders; the message names both.
    """
    if not root.exists():
        raise FileNotFoundError(f"no such folder: {root}")
    if not root.is_dir():
        raise NotADirectoryError(f"expected a folder of pictures; {root} is a file")
    if classes:
        _refuse_splits(root)
    readable = _readable()
    left_out: Counter[str] = Counter()
    found = sorted(_walk(os.path.realpath(root), readable, left_out))
    if in_classes := [each for each in found if classes and _class(each.path)]:
        left_out["in no class folder"] = len(found) - len(in_classes)
    paths: dict[str, str] = {}  # by the real path; what is no link comes first
    for each in in_classes or found:
        other = paths.setdefault(each.real, each.path)
        if in_classes and _class(other) != _class(each.path):
            raise ValueError(
                f"{root / each.path} and {root / other} are the same file, so its class is not "
                "known; remove the link"
            )
        left_out["reached by a link once more"] += other != each.path
    counts = ", ".join(f"{count} {what}" for what, count in left_out.most_common() if count)
    if not paths:
        looked = f"looked for {', '.join(sorted(readable))}"
        raise FileNotFoundError(f"no picture in {root} ({looked}; left out: {counts or 'nothing'})")
    listed = dict(sorted((id_of(path), path) for path in paths.values()))
    return Found(listed, [id.partition("/")[0] for id in listed if in_classes], counts)


class _Picture(NamedTuple):
    linked: bool
    path: str
    real: str


def _walk(root: str, readable: Set[str], left_out: Counter[str]) -> Iterator[_Picture]:
    folders, outputs = [""], set[str]()
    been: set[tuple[str, str]] = set()  # classes and the real folders reached in them by links
    while folders:
        below = folders.pop()
        here = os.path.join(root, below)
        real = os.path.realpath(here)
        if linked := bool(below) and real != here:
            holders = root, os.path.realpath(os.path.dirname(here))
            place = below.partition(os.sep)[0], real
            if place in been or any(_holds(real, holder) for holder in holders):
                left_out["link to a folder that holds the link or is counted"] += 1
                continue
            been.add(place)
        written = files.written_by_run(Path(here))
        outputs |= {os.path.join(below, *name.split("/")) for name in written}
        for entry in _entries(here):
            path, kind = os.path.join(below, entry.name), _kind(entry)
            suffix = os.path.splitext(entry.name)[1].lower()
            if path in outputs or entry.name in OUTPUTS:
                left_out["written by saccade-env"] += 1
            elif kind == stat.S_IFDIR:
                folders.append(path)
            elif suffix not in readable:
                if suffix not in _TEXTS.split():
                    left_out[files.printable(suffix) or "without a suffix"] += 1
            elif kind != stat.S_IFREG:
                left_out["that is no regular file"] += 1
            elif entry.is_symlink():
                yield _Picture(True, path, os.path.realpath(entry.path))
            else:
                yield _Picture(linked, path, os.path.join(real, entry.name))


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as a picture."""
    return os.path.splitext(name)[1].lower() in _readable()


@lru_cache(maxsize=1)
def _readable() -> frozenset[str]:
    return frozenset({*_PICTURES.split()} & Image.registered_extensions().keys())  # or no AVIF


def holds_pictures(folder: Path) -> bool:
    """Whether a picture lies in a folder itself."""
    return any(is_picture(entry.name) for entry in _entries(str(folder)))


def folders_in(root: Path) -> list[str]:
    """Visible folders in a folder, but for those that commands of this package write."""
    found = (entry.name for entry in _entries(str(root)) if _kind(entry) == stat.S_IFDIR)
    return sorted({*found}.difference(OUTPUTS))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise type(error)(
            f"{folder} cannot be listed: {error.strerror or error}; make it readable, or move it "
            "out of the folder of pictures"
        ) from error
    return [entry for entry in visible if entry.name not in _OF_SYSTEMS]


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        return stat.S_IFMT(entry.stat().st_mode)
    except OSError:  # a link to nowhere is part of the data too: reading it will say so
        return stat.S_IFREG


def _refuse_splits(root: Path) -> None:
    folders = [name for name in folders_in(root) if not name.startswith("ILSVRC2012_devkit")]
    if not folders or not {*folders} <= {*SPLITS}:
        return
    for name in sorted(folders, key=SPLITS.index):
        if folders_in(root / name) or len(folders) == 1:
            raise ValueError(f"{root} holds the splits {', '.join(folders)}; choose {root / name}")


def _class(path: str) -> str:
    return path.partition(os.sep)[0] if os.sep in path else ""


def _holds(folder: str, inner: str) -> bool:
    return os.path.join(inner, "").startswith(os.path.join(folder, ""))


def id_of(path: str) -> str:
    """What a path relative to the folder is called."""
    escaped = path.replace("\\", "\\\\") if os.sep == "/" else path.replace(os.sep, "/")
    return files.printable(escaped)
