"""The images of an experiment: seeded samples, balanced subsets, and other sizes.

A sample is drawn from that of the main experiment, so that what runs on fewer images can be
compared with it image by image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from PIL import Image

from saccade_env.images import FolderSource, ImageSource, Picture, Preprocess
from saccade_env.images.derived import Derived, sample

PER_CLASS = 10


class _Squashed(Derived):
    """A source brought to another size; pictures in files are better read anew at that size."""

    def __init__(self, source: ImageSource, preprocess: Preprocess) -> None:
        super().__init__(source, preprocess=repr(preprocess))
        self.image_size, self.preprocess = preprocess.image_size, preprocess
        self._squash = preprocess

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> Picture:
        picture = self._source[i]
        pixels = Image.fromarray(picture.image.permute(1, 2, 0).numpy())
        return picture._replace(image=self._squash(pixels))

    def id(self, i: int) -> str:
        return self._source.id(i)


def resized(source: ImageSource, image_size: tuple[int, int]) -> ImageSource:
    """The whole pictures at another (height, width), whatever their aspect (paper, figure 10)."""
    preprocess = Preprocess(image_size, mode="squash")
    if isinstance(source, FolderSource):
        return FolderSource(source.root, preprocess, source.name)
    return _Squashed(source, preprocess)


def balanced(
    source: ImageSource, indices: Sequence[int], seed: int, per_class: int = PER_CLASS
) -> list[int]:
    """A random ten of each class, or all where a class has fewer; in order."""
    classes: dict[Any, list[int]] = defaultdict(list)
    for index in indices:
        classes[_class_of(source, index)].append(index)
    chosen = (sample(members, per_class, seed) for members in classes.values())
    return sorted(index for members in chosen for index in members)


def class_sizes(source: ImageSource, indices: Sequence[int]) -> tuple[int, int, int]:
    """Number of classes, and images of the smallest and of the largest."""
    counts: dict[Any, int] = defaultdict(int)
    for index in indices:
        counts[_class_of(source, index)] += 1
    return len(counts), min(counts.values()), max(counts.values())


def _class_of(source: ImageSource, index: int) -> Any:
    # A folder tells without decoding the picture.
    if isinstance(source, FolderSource):
        return source.id(index).partition("/")[0]
    return source[index].label
