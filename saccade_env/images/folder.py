"""Pictures in a folder: ``root/<class>/**/*.jpg`` (ImageFolder layout) or ``root/*.jpg``.

Order is that of the sorted relative paths. Hidden files and folders are passed over.
"""

from __future__ import annotations

import hashlib
import operator
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, SupportsIndex

from saccade_env.images.base import LabelKind, Picture
from saccade_env.images.classes import class_names_imagenet, synset_ids_imagenet
from saccade_env.images.preprocess import Preprocess, decode

SPLITS = ("val", "validation", "valid", "test", "train")


class Listing(NamedTuple):
    """What is in a folder."""

    ids: list[str]
    classes: list[str]  # of each picture; empty without class folders
    loose: int  # pictures beside the class folders, which are left out


class FolderSource:
    """An :class:`~saccade_env.images.base.ImageSource` over the files of a folder.

    With class folders named by ImageNet-1k synset ids, labels are ImageNet's class indices, also
    where only some of the classes are there. Other class folders are numbered in sorted order,
    and empty ones do not count. Without class folders there are no labels.

    Args:
        root: The folder.
        preprocess: Brings each picture to one size; by default 224 × 224, see :class:`Preprocess`.
        name: For reports; by default the folder's own.

    Warns:
        UserWarning: Labels are the folder's own, or pictures beside class folders are left out.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
        NotADirectoryError: It is a file.
        ValueError: It only holds splits (``train``, ``val``, …), and one has to be chosen.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        preprocess: Preprocess | None = None,
        name: str | None = None,
    ) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        self.preprocess = preprocess or Preprocess()
        self.name = name or self.root.name
        listing = scan(self.root)
        self._ids = listing.ids
        self.labels, self._own_names, self._labels = _label(listing)
        if notes := self._notes(listing):
            warnings.warn(f"{self.root}: {'; '.join(notes)}", stacklevel=2)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.preprocess.image_size

    @property
    def class_names(self) -> list[str]:
        return class_names_imagenet() if self.labels == "imagenet" else list(self._own_names)

    @cached_property
    def identity(self) -> str:
        """Sha256 (hex) over relative paths, file sizes and labels; a copy has the same."""
        digest = hashlib.sha256()
        for id, label in zip(self._ids, self._labels, strict=True):
            line = f"{id}\t{_file_size(self.root / id)}\t{label}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, i: SupportsIndex) -> Picture:
        id = self.id(i)
        return Picture(self.preprocess(decode(self.root / id)), self._labels[i], id)

    def id(self, i: SupportsIndex) -> str:
        place = operator.index(i)
        if not -len(self) <= place < len(self):
            raise IndexError(f"no picture {place} in {self.name!r}, which has {len(self)}")
        return self._ids[place]

    def __repr__(self) -> str:
        size = "×".join(map(str, self.image_size))
        return f"FolderSource({str(self.root)!r}: {len(self)} of {size}, labels {self.labels!r})"

    def _notes(self, listing: Listing) -> list[str]:
        notes = []
        if self.labels == "own":
            odd = min(set(listing.classes) - set(synset_ids_imagenet()))
            notes.append(
                f"class folder {odd!r} is no ImageNet-1k synset id, so the classes got numbers of "
                "their own and accuracy against an ImageNet classifier is meaningless"
            )
        if listing.loose:
            notes.append(f"ignored {listing.loose} pictures that are in no class folder")
        return notes


def scan(root: Path) -> Listing:
    """List the pictures below ``root`` without opening any."""
    _check_folder(root)
    with os.scandir(root) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        folders = {entry.name for entry in visible if entry.is_dir()}
        loose = sorted(entry.name for entry in visible if entry.is_file() and _is_picture(entry))
    _refuse_splits(root, folders)
    ids = _in_class_folders(root) if folders else []
    if not ids and not loose:
        from torchvision.datasets.folder import IMG_EXTENSIONS

        raise FileNotFoundError(f"no picture in {root} (looked for {', '.join(IMG_EXTENSIONS)})")
    classes = [id.partition("/")[0] for id in ids]
    return Listing(ids, classes, len(loose)) if ids else Listing(loose, [], 0)


def _in_class_folders(root: Path) -> list[str]:
    from torchvision.datasets import ImageFolder  # here, because importing it takes a second

    start = len(os.path.join(root, ""))
    hidden = os.sep + "."

    def wanted(path: str) -> bool:
        return hidden not in path[start - 1 :] and _is_picture(path)

    samples = ImageFolder(root, is_valid_file=wanted, allow_empty=True).samples
    return sorted(path[start:].replace(os.sep, "/") for path, _ in samples)


def _is_picture(path: str | os.PathLike[str]) -> bool:
    from torchvision.datasets.folder import is_image_file

    return is_image_file(os.fspath(path))


def _check_folder(root: Path) -> None:
    if not root.exists():
        raise FileNotFoundError(f"no such folder: {root}")
    if not root.is_dir():
        raise NotADirectoryError(f"expected a folder of pictures; {root} is a file")


def _refuse_splits(root: Path, folders: set[str]) -> None:
    if not folders or not folders <= set(SPLITS):
        return
    choice = [name for name in SPLITS if name in folders and _has_folders(root / name)]
    if choice:
        raise ValueError(
            f"{root} holds the splits {', '.join(sorted(folders))}; choose {root / choice[0]}"
        )


def _has_folders(root: Path) -> bool:
    with os.scandir(root) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


def _label(listing: Listing) -> tuple[LabelKind, list[str], list[int | None]]:
    """What labels mean, the names of the class folders, and the label of each picture."""
    if not listing.classes:
        return "none", [], [None] * len(listing.ids)
    own, synsets = sorted(set(listing.classes)), synset_ids_imagenet()
    kind: LabelKind = "imagenet" if set(own) <= set(synsets) else "own"
    number = {name: i for i, name in enumerate(synsets if kind == "imagenet" else own)}
    return kind, own, [number[name] for name in listing.classes]


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link to nowhere is part of the data too: reading it will say so
        return -1
