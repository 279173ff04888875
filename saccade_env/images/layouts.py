"""ImageNet as people have it: :func:`open_path` sees how pictures are kept and labelled.

Nothing is guessed: where labels could mean two things, or a folder holds two layouts, there is one
error that says what to do. Layouts: class folders; a flat folder, with or without a file of labels;
Kaggle's tree; tar shards (:mod:`.shards`); data sets of Hugging Face (:mod:`.huggingface`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from saccade_env.files import printable, written_by_run
from saccade_env.images import huggingface, label_file, labels, shards
from saccade_env.images.collection import Collection
from saccade_env.images.label_file import KAGGLE, TRUTH, VALIDATION
from saccade_env.images.preprocess import Preprocess
from saccade_env.images.scan import folders_in, holds_pictures, id_of, is_picture, scan
from saccade_env.images.storage import Files, Storage

_CLS_LOC = Path("ILSVRC", "Data", "CLS-LOC")
_METADATA = ("metadata.csv", "metadata.jsonl")  # of an imagefolder of Hugging Face


@dataclass(frozen=True)
class Listing:
    """What is kept where, before anything is decoded.

    Attributes:
        layout: In words.
        storage: The bytes.
        ids: Of the pictures, in order.
        words: The class of each as it is written; None without classes.
        notes: What is left out.
    """

    layout: str
    storage: Storage
    ids: list[str]
    words: labels.Words | None
    notes: list[str] = field(default_factory=list)


def open_path(
    spec: str | os.PathLike[str],
    preprocess: Preprocess | None = None,
    *,
    name: str | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Collection:
    """Open a folder, tar shards, or a data set of Hugging Face.

    Args:
        spec: A folder, a tar file, a pattern of them (``val-{000..063}.tar``), or
            ``hf:REPO[:SPLIT]``.
        preprocess: Brings each picture to one size.
        name: For reports; by default the folder's own.
        labels: A file that names pictures and their classes, how classes that are written as
            numbers or names are to be read (:data:`saccade_env.images.labels.READINGS`), or both
            as ``FILE:READING``. By default it is seen by looking.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it, or no such file of labels.
        ImportError: A package is missing; the message gives the install command.
        NotADirectoryError: It is a file of another kind.
        OSError: A folder in it cannot be listed, or a file cannot be read; the message names it.
        ValueError: Labels or layout are ambiguous, or wrong; the message says what to do.

    Warns:
        UserWarning: Labels are the folder's own, or something is left out; it says what.
    """
    file, reading = label_file.parse(None if labels is None else os.fsdecode(labels))
    text = os.fsdecode(spec)
    listing = _list(text, file is not None)
    said = None if file is None else label_file.read(file)
    if said is None and listing.words is None:
        said = _truth_near(listing)
    return _collect(listing, said, reading, preprocess, name or _name_of(text))


def _collect(
    listing: Listing,
    said: label_file.LabelFile | None,
    reading: str | None,
    preprocess: Preprocess | None,
    name: str,
) -> Collection:
    ids, words, places = listing.ids, listing.words, [*range(len(listing.ids))]
    notes = [*listing.notes]
    if said is None:
        if reading is None and _counted_by_devkit(listing):
            reading = labels.ILSVRC
    else:
        places, assigned, reported = label_file.assign(said, ids)
        ids, file = [ids[place] for place in places], printable(said.path)
        words = labels.Words(assigned, file, file=file)
        notes += reported
        reading = reading or said.reading
    found = labels.read(words, reading)
    if found.kind == "own":
        notes.insert(0, _own(found))
    by = said.path.name if said else ""
    how = listing.layout, listing.storage, places, ids, found, by
    return Collection(name, *how, preprocess, notes)


def _own(found: labels.Labels) -> str:
    known = {*labels.synset_ids_imagenet()}
    odd = next((name for name in found.class_names if name not in known), found.class_names[0])
    return (
        f"class {odd!r} is no ImageNet-1k synset id, so the classes got numbers of their own and "
        "accuracy against an ImageNet classifier is meaningless"
    )


def _list(text: str, flat: bool) -> Listing:
    """See the layout; ``flat`` where classes come from elsewhere."""
    if text.startswith(huggingface.PREFIX):
        return _rows(huggingface.open_repo(text))
    root = Path(os.path.abspath(os.path.expanduser(text)))
    if root.is_file() and root.suffix == shards.SUFFIX:
        return _shards(root, [root])
    if not root.exists() and shards.is_pattern(text):
        return _shards(root, shards.expand(root))
    found = _special(root) if root.is_dir() else {}
    if len(found) > 1:
        raise ValueError(
            f"{root} holds more than one layout: {', '.join(found)}; name the one that is meant, "
            "or move it to a folder of its own"
        )
    return next(iter(found.values()), lambda: _folder(root, flat))()


def _special(root: Path) -> dict[str, Callable[[], Listing]]:
    """Layouts of a folder that files of known names show, and pictures beside them."""
    own = written_by_run(root)
    paths = [path for path in sorted(root.iterdir()) if path.name not in own]
    names = {path.name for path in paths if path.is_file()}
    tables = [path for path in paths if path.suffix in huggingface.TABLES and path.is_file()]
    tables = tables or sorted(root.glob("data/*.parquet"))  # as a repository of the hub has them
    tars = [path for path in paths if path.suffix == shards.SUFFIX and path.is_file()]
    found: dict[str, Callable[[], Listing]] = {}
    if saved := sorted(names & {*huggingface.SAVED}):
        found[f"a saved data set ({saved[0]})"] = lambda: _rows(huggingface.open_saved(root))
    elif tables:
        found[f"tables ({tables[0].name})"] = lambda: _rows(huggingface.open_folder(root))
    if tars:
        found[f"tar files ({tars[0].name})"] = lambda: _shards(root, shards.of_one_split(tars))
    if packed := [name for name in sorted(names) if name.endswith((".tar.gz", ".tgz"))]:
        found[f"compressed tar files ({packed[0]})"] = lambda: _refuse_compressed(root)
    if (root / _CLS_LOC).is_dir():
        found[f"Kaggle's tree ({_CLS_LOC})"] = lambda: _kaggle(root)
    folders = [name for name in folders_in(root) if found and holds_pictures(root / name)]
    pictures = [*filter(is_picture, sorted(names)), *folders]
    if found and pictures:
        found[f"pictures ({pictures[0]})"] = lambda: _folder(root, False)
    return found


def _refuse_compressed(root: Path) -> Listing:
    raise ValueError(
        f"{root} holds compressed tar files, which cannot be read at random: decompress shards "
        "(gunzip), or unpack archives and name the folder"
    )


def _folder(root: Path, flat: bool) -> Listing:
    listed = scan(root, classes=not flat)
    classes = listed.classes or None
    if classes:
        _refuse_mixture(root, {*classes})
    layout = "folder" if flat else "class folders" if classes else "flat folder"
    notes = [f"left out: {listed.left_out}"] * bool(listed.left_out)
    files = Files(str(root), list(listed.paths.values()))
    words = labels.Words(classes, printable(root), folders=True) if classes else None
    return Listing(layout, files, list(listed.paths), words, notes)


def _refuse_mixture(root: Path, classes: set[str]) -> None:
    kinds = {labels.kind_of(name) for name in classes}
    empty = [name for name in map(id_of, folders_in(root)) if name not in classes]
    if empty := [name for name in empty if labels.kind_of(name) in kinds]:
        raise ValueError(
            f"class folders without a picture in {root}: {', '.join(empty[:5])}"
            f"{', …' * (len(empty) > 5)} ({len(empty)}); fill them, or move them away"
        )
    if loose := next(filter(VALIDATION.match, sorted(os.listdir(root))), None):
        raise ValueError(
            f"{root} holds more than one layout: class folders ({min(classes)}) and ILSVRC's "
            f"validation files ({loose}); move one of them away"
        )


def _kaggle(root: Path) -> Listing:
    folder = root / _CLS_LOC / "val"
    if not folder.is_dir():
        raise FileNotFoundError(f"{root} has no {_CLS_LOC / 'val'}; name another split's folder")
    return replace(_folder(folder, False), layout="Kaggle's tree, val")


def _shards(root: Path, files: list[Path]) -> Listing:
    found = shards.index(root, files)
    words = labels.Words(found.words, printable(root)) if found.words else None
    return Listing("tar shards", found.storage, found.ids, words, found.notes)


def _rows(found: huggingface.Found) -> Listing:
    words = None
    if found.words:
        where = printable(found.storage.root)
        words = labels.Words(found.words, where, numbers=found.numbers)
    return Listing("Hugging Face data set", found.storage, found.ids, words, found.notes)


def _truth_near(listing: Listing) -> label_file.LabelFile | None:
    """Labels of a flat folder: of its own metadata, or ILSVRC's for its validation files."""
    root = Path(listing.storage.root)
    if not isinstance(listing.storage, Files):
        return None
    for name in _METADATA:
        if (root / name).is_file() and label_file.is_one(root / name):
            return label_file.read(root / name)
    if not any(VALIDATION.match(id) for id in listing.ids):
        return None
    found = label_file.near(root, KAGGLE, TRUTH)
    if found is None:
        listing.notes.append(
            f"no labels: neither {TRUTH} of the development kit nor Kaggle's {KAGGLE} is near; "
            "put one beside the folder, or pass a file of labels: --labels FILE (labels=…)"
        )
    return label_file.read(found) if found else None


def _counted_by_devkit(listing: Listing) -> bool:
    """Whether folders 1 to 1000 lie near a development kit, which counts so."""
    if listing.words is None or not listing.words.folders:
        return False
    words = {*listing.words.words}
    if {labels.kind_of(word) for word in words} != {"number"}:
        return False
    counted = all(1 <= int(word) <= 1000 for word in words)
    return counted and bool(label_file.near(Path(listing.storage.root), TRUTH))


def _name_of(text: str) -> str:
    if text.startswith(huggingface.PREFIX):
        return printable(text.removeprefix(huggingface.PREFIX).partition(":")[0])
    name = Path(os.path.abspath(os.path.expanduser(text))).name
    return printable(shards.short_name(name) if name.endswith(shards.SUFFIX) else name)
