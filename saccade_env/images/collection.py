"""Pictures kept in files, whatever their layout: :class:`Collection`."""

from __future__ import annotations

import copy
import hashlib
import operator
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import BinaryIO, SupportsIndex

from saccade_env.files import printable
from saccade_env.images.base import LabelKind, Picture
from saccade_env.images.decoding import read_rgb, read_size
from saccade_env.images.identity import contents
from saccade_env.images.labels import Labels
from saccade_env.images.preprocess import Preprocess
from saccade_env.images.storage import Storage


class Collection:
    """An ``ImageSource`` over files; :func:`saccade_env.images.create` opens it.

    Args:
        name: For reports.
        layout: How the pictures are kept, in words.
        storage: The bytes.
        places: Where in the storage each picture is.
        ids: Of each picture.
        labels: Of each picture, and what they mean.
        label_file: Name of the file that they are from, if they are from one.
        preprocess: Brings each picture to one size; by default 224 × 224, see :class:`Preprocess`.
        notes: What whoever uses it ought to know.

    Warns:
        UserWarning: There are notes, or labels are the collection's own.
    """

    def __init__(
        self,
        name: str,
        layout: str,
        storage: Storage,
        places: Sequence[int],
        ids: Sequence[str],
        labels: Labels,
        label_file: str = "",
        preprocess: Preprocess | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.preprocess = name, preprocess or Preprocess()
        self.labels: LabelKind = labels.kind
        self.class_names = labels.class_names
        said = {"layout": layout, "labels_read_as": labels.reading, "label_file": label_file}
        self.description = {key: value for key, value in said.items() if value}
        self._storage, self._places, self._ids = storage, list(places), list(ids)
        self._labels = labels.numbers or [None] * len(self._ids)
        if notes:
            warnings.warn(f"{printable(storage.root)}: {'; '.join(notes)}", stacklevel=3)

    @property
    def root(self) -> str:
        """The folder, file or name that all pictures are in."""
        return self._storage.root

    @property
    def layout(self) -> str:
        """How the pictures are kept and what says their classes, in a line."""
        said = self.description
        of = f" of {said['label_file']}" if "label_file" in said else ""
        return f"{said['layout']}, labels: {said.get('labels_read_as', 'none')}{of}"

    @property
    def image_size(self) -> tuple[int, int]:
        return self.preprocess.image_size

    @cached_property
    def identity(self) -> str:
        """Sha256 (hex) over ids, labels and the pictures' bytes; a copy has the same.

        All are read for it once; a large collection is remembered in the cache until a file
        changes.
        """
        whole = zip(self._ids, self._labels, contents(self._storage, self._places), strict=True)
        return hashlib.sha256(repr(list(whole)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, i: SupportsIndex) -> Picture:
        row = self._row(i)
        return Picture(self.preprocess(read_rgb(*self._at(row))), self._labels[row], self._ids[row])

    def id(self, i: SupportsIndex) -> str:
        return self._ids[self._row(i)]

    def label(self, i: SupportsIndex) -> int | None:
        """Label of picture ``i``, without decoding it."""
        return self._labels[self._row(i)]

    def open(self, i: SupportsIndex) -> BinaryIO:
        """The bytes of picture ``i`` as they are kept.

        Raises:
            IndexError: There is no such picture.
            OSError: They cannot be read.
        """
        return self._storage.open(self._places[self._row(i)])

    def original_size(self, i: SupportsIndex) -> tuple[int, int]:
        """(height, width) in pixels of picture ``i`` as it is kept, upright; decodes nothing.

        Raises:
            IndexError: There is no such picture.
            BrokenImageError: Its head cannot be read.
        """
        return read_size(*self._at(self._row(i)))

    def resized(self, preprocess: Preprocess) -> Collection:
        """The same pictures brought to another size: they are listed and hashed once."""
        other = copy.copy(self)
        other.preprocess = preprocess
        return other

    def __repr__(self) -> str:
        size = "×".join(map(str, self.image_size))
        return f"Collection({self.root!r}: {len(self)} of {size}, {self.layout})"

    def _at(self, row: int) -> tuple[Callable[[], BinaryIO], str]:
        name = f"{printable(self.root)}/{self._ids[row]}"
        return partial(self._storage.open, self._places[row]), name

    def _row(self, i: SupportsIndex) -> int:
        row = operator.index(i)
        if not -len(self) <= row < len(self):
            raise IndexError(f"no picture {row} in {self.name!r}, which has {len(self)}")
        return row
