"""The 1000 classes of ImageNet-1k, in the order every classifier uses: by synset id.

The development kit of ILSVRC 2012 counts them from 1 in an order of its own
(``ilsvrc_ids.txt``, the ids of its ``meta.mat``), which its ground truth is written in.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from saccade_env.errors import nearest

_ILSVRC = Path(__file__).with_name("ilsvrc_ids.txt")


def synset_ids_imagenet() -> list[str]:
    """WordNet ids of the 1000 classes (``"n01440764"``, …); the place in the list is the label."""
    return list(_table()[0])


def class_names_of(num_classes: int) -> list[str] | None:
    """Names of a classifier's classes, which are ImageNet's where there are 1000; else None."""
    return class_names_imagenet() if num_classes == 1000 else None


def class_names_imagenet() -> list[str]:
    """Short name of each of the 1000 classes: the first synonym.

    Two names occur twice, as in WordNet: ``crane`` (the bird and the machine) and ``maillot``.
    """
    return [text.partition(",")[0].strip() for text in _table()[1]]


def ilsvrc_order() -> list[int]:
    """Class index of ILSVRC 2012's id 1, 2, … 1000, as its development kit counts."""
    place = {synset: index for index, synset in enumerate(_table()[0])}
    return [place[synset] for synset in _ILSVRC.read_text("ascii").split()]


def classes_called(name: str) -> set[int]:
    """Class indices by name: all synonyms, else the first, else another; in another case last."""
    plain = name.replace("_", " ").strip()
    for written in (plain, plain.lower()):
        for names in _by_name():
            if written in names:
                return names[written]
    return set()


def index_of_name(name: str) -> int:
    """The one class of a name, see :func:`classes_called`.

    Raises:
        ValueError: No class is called so, or several are.
    """
    found = classes_called(name)
    if len(found) > 1:
        ids = ", ".join(_table()[0][index] for index in sorted(found))
        raise ValueError(f"{len(found)} classes are called {name!r}: write {ids}")
    if not found:
        hint = nearest(name, class_names_imagenet())
        raise ValueError(f"no class of ImageNet-1k is called {name!r}.{hint}")
    return next(iter(found))


@lru_cache(maxsize=1)
def _by_name() -> list[dict[str, set[int]]]:
    """Classes by all synonyms, by the first, and by any; then the same in lower case."""
    found: list[dict[str, set[int]]] = [{} for _ in range(6)]
    for index, text in enumerate(_table()[1]):
        synonyms = [name.strip() for name in text.split(",")]
        for level, names in enumerate(([text], synonyms[:1], synonyms)):
            for name in names:
                found[level].setdefault(name, set()).add(index)
                found[level + 3].setdefault(name.lower(), set()).add(index)
    return found


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[str, ...], tuple[str, ...]]:
    from timm.data import ImageNetInfo  # here, because importing timm takes seconds

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.label_names()), tuple(info.label_descriptions())
