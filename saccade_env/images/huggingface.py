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
        cell = self.table[place][self.column]
        return io.BytesIO(cell["bytes"]) if cell["bytes"] else open_file(cell["path"])

    def file_of(self, place: int) -> tuple[str, object] | None:
        files = self.table.cache_files
        return (files[0]["filename"], (self.table._fingerprint, place)) if files else None


class Found(NamedTuple):
    """What a data set holds."""

    storage: Rows
    ids: list[str]
    words: list[str] | None


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


def open_tables(folder: Path) -> Found:
    """Open a folder of parquet or arrow files; errors are those of :func:`open_repo`."""
    return open_repo(f"{PREFIX}{folder}")


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
        raise OSError(
            f"cannot open the data set {root}: {type(error).__name__}: {error} (a data set behind "
            "an agreement needs `hf auth login`)"
        ) from error


def _found(loaded: Any, root: str, split: str) -> Found:
    datasets = _datasets()
    table = _split_of(loaded, root, split) if isinstance(loaded, dict) else loaded
    features = table.features
    pictures = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    column = _choose("pictures", pictures, _IMAGES, root)
    table = table.cast_column(column, datasets.Image(decode=False))
    named = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    said = named or [name for name in _LABELS if name in features]
    words = _words(table, _choose("labels", said, _LABELS, root), root) if said else None
    return Found(Rows(root, table, column), _ids(table, column), words)


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


def _words(table: Any, column: str, root: str) -> list[str] | None:
    values, names = table[column][:], getattr(table.features[column], "names", None)
    if hidden := sum(value in (None, -1) for value in values):  # as in splits for a test
        if hidden < len(values):
            raise ValueError(f"{hidden} of {len(values)} pictures in {root} have no label")
        return None
    if not names or _are_imagenet(names):
        return [str(value) for value in values]
    return [names[value] for value in values]


def _are_imagenet(names: list[str]) -> bool:
    """Whether 1000 names are ImageNet-1k's in order; some stand for two classes."""
    fits = sum(index in classes_called(name) for index, name in enumerate(names))
    return len(names) == 1000 and fits > 900
