"""The 1000 classes of ImageNet-1k, in the order every classifier uses: by synset id."""

from __future__ import annotations

from functools import lru_cache


def synset_ids_imagenet() -> list[str]:
    """WordNet ids of the 1000 classes (``"n01440764"``, …); the place in the list is the label."""
    return list(_table()[0])


def class_names_imagenet() -> list[str]:
    """Short name of each of the 1000 classes: the first synonym.

    Two names occur twice, as in WordNet: ``crane`` (the bird and the machine) and ``maillot``.
    """
    return list(_table()[1])


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[str, ...], tuple[str, ...]]:
    from timm.data import ImageNetInfo  # here, because importing timm takes seconds

    info = ImageNetInfo("imagenet-1k")
    names = (text.split(",")[0].strip() for text in info.label_descriptions())
    return tuple(info.label_names()), tuple(names)
