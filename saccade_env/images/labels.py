"""Which label a written class is, under one of :data:`READINGS`.

Folders, label files and shards write a class as a word: a synset id, a number or a name. A number
means nothing by itself: data sets count ImageNet's classes in three orders, from 0 and from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from typing import NamedTuple

from saccade_env.errors import nearest
from saccade_env.images.base import LabelKind
from saccade_env.images.classes import (
    class_names_imagenet,
    classes_called,
    ilsvrc_order,
    index_of_name,
    synset_ids_imagenet,
)

SYNSETS, NAMES, OWN = "synsets", "class-names", "own"
INDICES, ILSVRC = "class-indices", "ilsvrc-ids"
INDICES_FROM_1, ILSVRC_FROM_0 = "class-indices-from-1", "ilsvrc-ids-from-0"
TEXT_SORTED = "text-sorted"
READINGS = {
    SYNSETS: "WordNet ids, such as n02123045",
    NAMES: "ImageNet-1k's names, such as 'tabby' or 'tabby, tabby cat'",
    INDICES: "numbers 0 to 999 in the order of the synset ids, as classifiers count",
    INDICES_FROM_1: "class indices counted from 1 to 1000",
    ILSVRC: "numbers 1 to 1000 in the order of ILSVRC 2012's development kit",
    ILSVRC_FROM_0: "ILSVRC ids counted from 0 to 999",
    TEXT_SORTED: "numbers 0 to 999 that count class indices sorted as text: 0, 1, 10, 100, 101, …",
    OWN: "classes of the data set's own, which no ImageNet classifier knows",
}
NUMBERED = (INDICES, INDICES_FROM_1, ILSVRC, ILSVRC_FROM_0, TEXT_SORTED)


class AmbiguousLabelsError(ValueError):
    """Numbers that may mean several things; ``readings`` are those that fit."""

    def __init__(self, message: str, readings: Sequence[str]) -> None:
        super().__init__(message)
        self.readings = tuple(readings)

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.readings)


class Labels(NamedTuple):
    """Labels of pictures, and how they were read.

    Attributes:
        kind: What they mean.
        reading: One of :data:`READINGS`; empty without labels.
        class_names: Name of each label.
        numbers: Label of each picture.
    """

    kind: LabelKind
    reading: str
    class_names: list[str]
    numbers: list[int | None]


def order(reading: str) -> dict[int, int]:
    """Class index of every number that a reading of numbers knows."""
    if reading in (ILSVRC, ILSVRC_FROM_0):
        classes = ilsvrc_order()
    elif reading == TEXT_SORTED:
        classes = [int(text) for text in sorted(map(str, range(1000)))]
    else:
        classes = list(range(1000))
    return dict(enumerate(classes, start=reading in (INDICES_FROM_1, ILSVRC)))


def read(words: Sequence[str] | None, reading: str | None, folders: bool, where: str) -> Labels:
    """Labels of pictures from the words their classes are written as.

    Args:
        words: One a picture; None where there are none.
        reading: One of :data:`READINGS`; None to see by the words.
        folders: The words are names of folders: numbers may then be anybody's, and names are
            classes of their own.
        where: What holds them, for messages.

    Raises:
        AmbiguousLabelsError: Numbers may mean several things.
        ValueError: A word is none of the reading, or words are of several kinds.
    """
    if words is None:
        return Labels("none", "", [], [])
    reading = reading or _recognise({*words}, folders, where)
    if reading == OWN:
        own = sorted({*words})
        place = {word: index for index, word in enumerate(own)}
        return Labels("own", OWN, own, [place[word] for word in words])
    index = _indices({*words}, reading, where)
    return Labels("imagenet", reading, class_names_imagenet(), [index[word] for word in words])


def _indices(words: Set[str], reading: str, where: str) -> dict[str, int]:
    lookup: Callable[[str], int] = index_of_name
    if reading == SYNSETS:
        lookup = synset_ids_imagenet().index
    elif reading in NUMBERED:
        known = order(reading)
        lookup = lambda word: known[int(word)]  # noqa: E731
    found = {}
    for word in sorted(words):
        try:
            found[word] = lookup(word)
        except (KeyError, ValueError) as error:
            reason = f": {error}" if reading == NAMES else ""
            expected = f"expected {READINGS[reading]} (--labels {reading})"
            raise ValueError(f"class {word!r} in {where}: {expected}{reason}") from error
    return found


def kind_of(word: str) -> str:
    """``"synset"``, ``"number"`` or ``"name"``."""
    if re.fullmatch(r"n\d{8}", word):
        return "synset"
    return "number" if re.fullmatch(r"[0-9]+", word) else "name"


def _recognise(words: Set[str], folders: bool, where: str) -> str:
    kinds = {kind_of(word): word for word in sorted(words, reverse=True)}
    if len(kinds) > 1:
        found = ", ".join(f"{word!r} (a {kind})" for kind, word in kinds.items())
        raise ValueError(
            f"classes in {where} are written in several ways: {found}; take out what does not "
            f"belong there, or say that the classes are your own: --labels {OWN} (labels={OWN!r})"
        )
    [kind] = kinds
    if kind == "number":
        return _recognise_numbers({int(word) for word in words}, folders, where)
    if kind == "synset":
        return SYNSETS if words <= {*synset_ids_imagenet()} else OWN
    return OWN if folders else _recognise_names(words, where)


def _recognise_names(words: Set[str], where: str) -> str:
    unknown = sorted(word for word in words if not classes_called(word))
    if unknown and len(unknown) < len(words):
        raise ValueError(
            f"{len(unknown)} of {len(words)} class names in {where} are not ImageNet-1k's, such as "
            f"{unknown[0]!r}.{nearest(unknown[0], class_names_imagenet())} If the classes are your "
            f"own: --labels {OWN} (labels={OWN!r})"
        )
    return OWN if unknown else NAMES


def _recognise_numbers(numbers: Set[int], folders: bool, where: str) -> str:
    low, high = min(numbers), max(numbers)
    if high > 1000 or (low == 0 and high > 999):
        raise ValueError(
            f"class {high} in {where} is outside 0…999 (class indices) and 1…1000 (ILSVRC ids); "
            f"if the classes are your own: --labels {OWN} (labels={OWN!r})"
        )
    counted = numbers == {*range(low, high + 1)}
    if high < 1000 and not folders:
        return INDICES
    if low == 0 and (high == 999 or not counted):
        return INDICES
    fits = [INDICES] * (high < 1000) + [ILSVRC, INDICES_FROM_1] * (low > 0) + [OWN] * counted
    raise AmbiguousLabelsError(
        f"classes {low} to {high} in {where} may be "
        + " or ".join(f"{READINGS[name]} (--labels {name})" for name in fits)
        + "; say which, in Python by labels=…; `saccade-env images` tries them out",
        fits,
    )
