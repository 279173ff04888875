"""Data sets of Hugging Face: of the hub, or in a local folder, by their package ``datasets``.

It keeps a copy of tables in its own cache (``$HF_HOME``), which it reads at random.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from saccade_env.errors import unknown_name
from saccade_env.files import printable
from saccade_env.images.classes import classes_called
from saccade_env.images.labels import word_of
from saccade_env.images.storage import open_file

PREFIX = "hf:"
SAVED = ("dataset_dict.json", "dataset_info.json")  # of `save_to_disk`
TABLES = (".parquet", ".arrow")
_SPLITS = ("validation", "val", "valid")  # taken if there are several
_IMAGES, _LABELS = ("image", "img", "jpg", "png"), ("label", "labels", "cls", "fine_label")


@dataclass
class Rows:
    """Each picture is a cell of a table."""

    root: str
    table: Any = field(repr=False)
    column: str

    def open(self, place: int) -> BinaryIO:
        cell = self.table[place][self.column] or {}
        if cell.get("bytes"):
            return io.BytesIO(cell["bytes"])
        if not cell.get("path"):
            raise ValueError("there is no picture in this row")
        return open_file(cell["path"])

    def file_of(self, place: int) -> tuple[str, object] | None:
        files = self.table.cache_files
        return (files[0]["filename"], (self.table._fingerprint, place)) if files else None


class Found(NamedTuple):
    """What a data set holds."""

    storage: Rows
    ids: list[str]
    words: list[str] | None
    numbers: list[str] | None
    notes: list[str]


def open_repo(text: str) -> Found:
    """Open ``hf:REPO[:SPLIT]``, where REPO is a name of the hub or a folder.

    Raises:
        ImportError: The package is missing; the message gives the install command.
        OSError: It cannot be had; the message says why.
        ValueError: Splits, pictures or labels are ambiguous.
    """
    repo, _, split = text.removeprefix(PREFIX).partition(":")
    if not repo:
        raise ValueError(f"{text!r} names no data set: {PREFIX}REPO[:SPLIT]")
    folder = Path(repo).expanduser()
    if any((folder / name).is_file() for name in SAVED):
        return open_saved(folder, split)
    name = str(folder) if folder.is_dir() else repo
    return _found(_guarded(repo, _datasets().load_dataset, name), repo, split)


def open_saved(folder: Path, split: str = "") -> Found:
    """Open what ``save_to_disk`` wrote; errors are those of :func:`open_repo`."""
    loaded = _guarded(str(folder), _datasets().load_from_disk, str(folder))
    return _found(loaded, str(folder), split)


def open_folder(folder: Path) -> Found:
    """Open a folder of parquet or arrow files; errors are those of :func:`open_repo`."""
    return _found(_guarded(str(folder), _datasets().load_dataset, str(folder)), str(folder), "")


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "data sets of Hugging Face need the package datasets: pip install 'saccade-env[hub]'"
        ) from error
    return datasets


def _guarded(root: str, load: Callable[[str], Any], name: str) -> Any:
    try:
        return load(name)
    except Exception as error:  # whatever its loaders trip over
        reason = error.__cause__ or error
        local = Path(name).exists()
        login = "" if local else " (a data set behind an agreement needs `hf auth login`)"
        raise OSError(
            f"cannot open the data set {root}: {type(reason).__name__}: {reason}{login}"
        ) from error


def _found(loaded: Any, root: str, split: str) -> Found:
    datasets = _datasets()
    table = _split_of(loaded, root, split) if isinstance(loaded, dict) else loaded
    features = table.features
    pictures = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    column = _choose("pictures", pictures, _IMAGES, root)
    table = table.cast_column(column, datasets.Image(decode=False))
    named = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    said = [name for name in _LABELS if name in features] or named
    notes = [] if said else [f"no labels: no column of {', '.join(features)} is one of classes"]
    words, numbers = None, None
    if said:
        words, numbers = _words(table, _choose("labels", said, _LABELS, root), root)
    return Found(Rows(root, table, column), _ids(table, column), words, numbers, notes)


def _ids(table: Any, column: str) -> list[str]:
    """File names where each picture has one of its own, else numbers of rows."""
    import pyarrow.compute as pc

    cells = table.with_format("arrow")[:][column]  # in the file: nothing is read
    names = [os.path.basename(path or "") for path in pc.struct_field(cells, "path").to_pylist()]
    if "" in names or len({*names}) < len(names):
        return [f"{row:08}" for row in range(len(names))]
    return [printable(name) for name in names]


def _split_of(loaded: Any, root: str, split: str) -> Any:
    if split:
        if split not in loaded:
            raise unknown_name("split", split, loaded, root)
        return loaded[split]
    fits = [name for name in loaded if name in _SPLITS] or list(loaded)
    if len(fits) > 1:
        raise ValueError(
            f"{root} holds the splits {', '.join(loaded)}; choose one, such as "
            f"'{PREFIX}{root}:{fits[-1]}'"
        )
    return loaded[fits[0]]


def _choose(what: str, columns: list[str], usual: tuple[str, ...], root: str) -> str:
    fits = [name for name in columns if name in usual] or columns
    if not fits:
        raise ValueError(f"{root} has no column of {what}")
    if len(fits) > 1:
        raise ValueError(f"{root} has several columns of {what}: {', '.join(fits)}")
    return fits[0]


def _words(table: Any, column: str, root: str) -> tuple[list[str] | None, list[str] | None]:
    """Classes as names and, where they have names, as numbers."""
    values, names = table[column][:], getattr(table.features[column], "names", None)
    found = [word_of(value, root) for value in values]
    words = [word for word in found if word is not None]
    if not words:  # as in splits for a test
        return None, None
    if len(words) < len(found):
        raise ValueError(
            f"{len(found) - len(words)} of {len(found)} pictures in {root} have no label"
        )
    if not names or _are_imagenet(names):
        return words, None
    return [str(names[int(word)]) for word in words], words


def _are_imagenet(names: list[str]) -> bool:
    """Whether 1000 names are ImageNet-1k's in order, but for some that had to be made different."""
    called = [classes_called(name) for name in names]
    fits = sum(index in found for index, found in enumerate(called))
    return fits >= 990 and all(index in found for index, found in enumerate(called) if found)
