"""Which label a written class is, under one of :data:`READINGS`.

Folders, label files and shards write a class as a word: a synset id, a number or a name. A number
means nothing by itself: data sets count ImageNet's classes in three orders, from 0 and from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import NamedTuple

from saccade_env.errors import nearest
from saccade_env.files import printable
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
    NAMES: "ImageNet-1k's names, such as 'tabby' or 'tabby, tabby cat', or synset ids",
    INDICES: "numbers 0 to 999 in the order of the synset ids, as classifiers count",
    INDICES_FROM_1: "class indices counted from 1 to 1000",
    ILSVRC: "numbers 1 to 1000 in the order of ILSVRC 2012's development kit",
    ILSVRC_FROM_0: "ILSVRC ids counted from 0 to 999",
    TEXT_SORTED: "numbers 0 to 999 that count class indices sorted as text: 0, 1, 10, 100, 101, …",
    OWN: "classes of the data set's own, which no ImageNet classifier knows",
}
NUMBERED = (INDICES, INDICES_FROM_1, ILSVRC, ILSVRC_FROM_0, TEXT_SORTED)


class AmbiguousLabelsError(ValueError):
    """Numbers that may mean several things; ``readings`` are what ``labels`` may be."""

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


class Words(NamedTuple):
    """Classes as they are written, one a picture.

    Attributes:
        words: A class each.
        where: What holds them, for messages.
        folders: They are names of folders: numbers may then be anybody's, and names are classes
            of their own.
        file: The file of labels that they are from; empty if they are not from one.
        numbers: The same as numbers, where both are known.
    """

    words: list[str]
    where: str
    folders: bool = False
    file: str = ""
    numbers: list[str] | None = None

    def option(self, reading: str) -> str:
        """What ``--labels`` has to be for a reading."""
        return f"{self.file}:{reading}" if self.file else reading


def read(written: Words | None, reading: str | None) -> Labels:
    """Labels of pictures from the words their classes are written as.

    Args:
        written: The words; None where there are none.
        reading: One of :data:`READINGS`; None to see by the words.

    Raises:
        AmbiguousLabelsError: Numbers may mean several things.
        ValueError: A word is none of the reading, words are of several kinds, or a reading is
            given where there are no words.
    """
    if written is None:
        if reading:
            raise ValueError(f"labels={reading!r} (--labels) cannot be: the pictures have none")
        return Labels("none", "", [], [])
    reading = reading or _recognise(written)
    words = written.words
    if reading in NUMBERED and written.numbers:
        words = written.numbers
    if reading == OWN:
        own = sorted({*words})
        place = {word: index for index, word in enumerate(own)}
        return Labels("own", OWN, own, [place[word] for word in words])
    index = _indices({*words}, reading, written)
    return Labels("imagenet", reading, class_names_imagenet(), [index[word] for word in words])


def word_of(value: object, where: str) -> str | None:
    """A class as a word, of a value in a table or JSON; None where it says that there is none.

    Raises:
        ValueError: It is neither text nor a whole number.
    """
    if value is None or value != value or value == -1:  # NaN; -1 is a test set's
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{where}: a class must be text or a whole number; got {value!r}")
    text = re.sub(r"^([0-9]+)\.0+$", r"\1", str(value).strip().strip("\ufeff"))
    return None if text.lower() in ("", "nan", "none", "null", "-1") else printable(text)


def kind_of(word: str) -> str:
    """``"synset"``, ``"number"`` or ``"name"``."""
    if re.fullmatch(r"n\d{8}", word, re.ASCII):
        return "synset"
    return "number" if re.fullmatch(r"[0-9]+", word) else "name"


def _indices(words: Set[str], reading: str, written: Words) -> dict[str, int]:
    synsets = {synset: index for index, synset in enumerate(synset_ids_imagenet())}
    known = order(reading) if reading in NUMBERED else {}

    def lookup(word: str) -> int:
        if reading in NUMBERED and kind_of(word) == "number":
            return known[int(word)]
        named = reading == NAMES and word not in synsets
        return index_of_name(word) if named else synsets[word]

    found: dict[str, int] = {}
    for word in sorted(words):
        try:
            found[word] = lookup(word)
        except (KeyError, ValueError) as error:
            reason = f": {error}" if reading == NAMES else ""
            expected = f"expected {READINGS[reading]} (--labels {written.option(reading)})"
            raise ValueError(f"class {word!r} in {written.where}: {expected}{reason}") from error
    if written.folders and len({*found.values()}) < len(found):
        by_index = {index: word for word, index in found.items()}
        one, other = next((w, by_index[i]) for w, i in found.items() if by_index[i] != w)
        raise ValueError(f"folders {one!r} and {other!r} in {written.where} are the same class")
    return found


def _recognise(written: Words) -> str:
    words, where = {*written.words}, written.where
    kinds = {kind_of(word): word for word in sorted(words, reverse=True)}
    mine = f"--labels {written.option(OWN)}"
    if len(kinds) > 1 and (written.folders or "number" in kinds):
        found = ", ".join(f"{word!r} (a {kind})" for kind, word in kinds.items())
        raise ValueError(
            f"classes in {where} are written in several ways: {found}; take out what does not "
            f"belong there, or say that the classes are your own: {mine}"
        )
    if "number" in kinds:
        return _recognise_numbers({int(word) for word in words}, written)
    if "name" in kinds and written.folders:
        return OWN
    known = {*synset_ids_imagenet()}
    unknown = sorted(word for word in words if word not in known and not classes_called(word))
    if unknown and len(unknown) < len(words) and not written.folders:
        raise ValueError(
            f"{len(unknown)} of {len(words)} classes in {where} are not ImageNet-1k's, such as "
            f"{unknown[0]!r}.{nearest(unknown[0], class_names_imagenet())} If the classes are your "
            f"own: {mine}"
        )
    return OWN if unknown else NAMES if "name" in kinds else SYNSETS


def _recognise_numbers(numbers: Set[int], written: Words) -> str:
    low, high = min(numbers), max(numbers)
    where, mine = written.where, f"--labels {written.option(OWN)}"
    if high > 1000 or (low == 0 and high > 999):
        raise ValueError(
            f"class {high} in {where} is outside 0…999 (class indices) and 1…1000 (ILSVRC ids); "
            f"if the classes are your own: {mine}"
        )
    counted = numbers == {*range(low, high + 1)}
    may_be_own = counted and high - low < 999 and low <= 1
    if high < 1000 and (written.file or not (may_be_own or (written.folders and low > 0))):
        return INDICES
    fits = [INDICES] * (high < 1000) + [ILSVRC, INDICES_FROM_1] * (low > 0) + [OWN] * may_be_own
    raise AmbiguousLabelsError(
        f"classes {low} to {high} in {where} may be "
        + " or ".join(f"{READINGS[name]} (--labels {written.option(name)})" for name in fits)
        + "; say which, in Python by labels=…; `saccade-env images` tries them out",
        [written.option(name) for name in fits],
    )
