"""Pictures in a folder: ``root/<class>/**/*.jpg`` (ImageFolder layout) or ``root/*.jpg``.

Order is that of the sorted relative paths. What counts as a picture says :mod:`.scan`.
"""

from __future__ import annotations

import hashlib
import operator
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import SupportsIndex

from saccade_env.files import printable
from saccade_env.images.base import LabelKind, Picture
from saccade_env.images.classes import class_names_imagenet, synset_ids_imagenet
from saccade_env.images.identity import contents
from saccade_env.images.preprocess import Preprocess, decode, upright_size
from saccade_env.images.scan import scan


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
        UserWarning: Labels are the folder's own, or something is left out; it says what.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
        NotADirectoryError: It is a file.
        OSError: A folder in it cannot be listed; the message names it.
        ValueError: It only holds splits (``train``, ``val``, …), and one has to be chosen, or
            links show one picture in two class folders.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        preprocess: Preprocess | None = None,
        name: str | None = None,
    ) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        self.preprocess = preprocess or Preprocess()
        self.name = name or printable(self.root.name)
        paths, classes, left_out = scan(self.root)
        self._ids, self._paths = list(paths), list(paths.values())
        self.labels, self._own_names, self._labels = _label(classes, len(paths))
        if notes := self._notes(left_out):
            warnings.warn(f"{printable(self.root)}: {'; '.join(notes)}", stacklevel=2)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.preprocess.image_size

    @property
    def class_names(self) -> list[str]:
        return class_names_imagenet() if self.labels == "imagenet" else list(self._own_names)

    @cached_property
    def identity(self) -> str:
        """Sha256 (hex) over ids, labels and the files' contents; a copy has the same.

        All files are read for it once; a large collection is remembered in the cache until a file
        changes.
        """
        whole = zip(self._ids, self._labels, contents(self.root, self._paths), strict=True)
        return hashlib.sha256(repr(list(whole)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, i: SupportsIndex) -> Picture:
        place = self._place(i)
        image = self.preprocess(decode(self.root / self._paths[place]))
        return Picture(image, self._labels[place], self._ids[place])

    def id(self, i: SupportsIndex) -> str:
        return self._ids[self._place(i)]

    def original_size(self, i: SupportsIndex) -> tuple[int, int]:
        """(height, width) in pixels of the file of picture ``i``, upright as its EXIF data says."""
        return upright_size(self.root / self._paths[self._place(i)])

    def __repr__(self) -> str:
        size = "×".join(map(str, self.image_size))
        return f"FolderSource({str(self.root)!r}: {len(self)} of {size}, labels {self.labels!r})"

    def _place(self, i: SupportsIndex) -> int:
        place = operator.index(i)
        if not -len(self) <= place < len(self):
            raise IndexError(f"no picture {place} in {self.name!r}, which has {len(self)}")
        return place

    def _notes(self, left_out: str) -> list[str]:
        notes = []
        if self.labels == "own":
            odd = min(set(self._own_names) - set(synset_ids_imagenet()))
            notes.append(
                f"class folder {odd!r} is no ImageNet-1k synset id, so the classes got numbers of "
                "their own and accuracy against an ImageNet classifier is meaningless"
            )
        return notes + [f"left out: {left_out}"] * bool(left_out)


def _label(classes: list[str], count: int) -> tuple[LabelKind, list[str], list[int | None]]:
    """What labels mean, the names of the class folders, and the label of each picture."""
    if not classes:
        return "none", [], [None] * count
    own, synsets = sorted(set(classes)), synset_ids_imagenet()
    kind: LabelKind = "imagenet" if set(own) <= set(synsets) else "own"
    number = {name: i for i, name in enumerate(synsets if kind == "imagenet" else own)}
    return kind, own, [number[name] for name in classes]
