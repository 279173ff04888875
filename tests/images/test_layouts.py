"""ImageNet as people have it: every layout gives the records of synset folders."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from saccade_env import evaluate, images, policies
from saccade_env.images import SAMPLE, Collection
from saccade_env.images.classes import class_names_imagenet, ilsvrc_order, synset_ids_imagenet
from saccade_env.images.derived import Subset
from saccade_env.testing import check_image_source

PICTURES = sorted(SAMPLE.glob("*/*.jpg"))[:4]
SYNSETS = [picture.parent.name for picture in PICTURES]
INDICES = [synset_ids_imagenet().index(synset) for synset in SYNSETS]
IDS = [ilsvrc_order().index(index) + 1 for index in INDICES]
VALIDATION = [f"ILSVRC2012_val_{n:08}.JPEG" for n in (3, 4, 7, 8)]
FOLDER = "class folders, labels: "


def classes(root: Path, *names: object) -> Path:
    for picture, name in zip(PICTURES, names, strict=True):
        (root / str(name)).mkdir(parents=True)
        shutil.copy(picture, root / str(name))
    return root


def flat(root: Path, names: list[str] = VALIDATION) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for picture, name in zip(PICTURES, names, strict=True):
        shutil.copy(picture, root / name)
    return root


def truth(folder: Path) -> Path:
    """The development kit's: a number a line, here of eight pictures."""
    numbers = [1, 1, *IDS[:2], 1, 1, *IDS[2:]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, numbers)))
    return folder


def kaggle(root: Path) -> Path:
    flat(root / "ILSVRC" / "Data" / "CLS-LOC" / "val")
    rows = [
        f"{name[:-5]},{synset} 85 1 499 272 "
        for name, synset in zip(VALIDATION, SYNSETS, strict=True)
    ]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    return root


def shard(file: Path, rows: list[tuple[Path, str]], kind: str = "cls") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for number, (picture, word) in enumerate(rows):
            text = word if kind == "cls" else json.dumps({"filename": "x", "label": int(word)})
            for suffix, data in (("jpg", picture.read_bytes()), (kind, text.encode())):
                member = tarfile.TarInfo(f"{number:06}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return file


def shards(root: Path, kind: str = "cls") -> Path:
    rows = list(zip(PICTURES, map(str, INDICES), strict=True))
    shard(root / "val-000000.tar", rows[:3], kind)
    shard(root / "val-000001.tar", rows[3:], kind)
    return root


def table(names: list[str] | None):
    """A data set of Hugging Face with the pictures in it."""
    datasets = pytest.importorskip("datasets")
    words = {synset: place for place, synset in enumerate(synset_ids_imagenet())}
    label = datasets.ClassLabel(names=names) if names else datasets.Value("int64")
    features = datasets.Features({"image": datasets.Image(), "label": label})
    rows = {
        "image": [{"bytes": picture.read_bytes(), "path": None} for picture in PICTURES],
        "label": [words[synset] for synset in SYNSETS],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def parquet(root: Path) -> Path:
    root.mkdir()
    table(None).to_parquet(root / "validation-00000-of-00001.parquet")
    return root


def saved(root: Path) -> Path:
    table(synset_ids_imagenet()).save_to_disk(root)
    return root


def saved_splits(root: Path) -> Path:
    import datasets

    one = table([text.split(",")[0] for text in _unique_names()])
    datasets.DatasetDict({"train": one.select([0]), "validation": one}).save_to_disk(root)
    return root


def _unique_names() -> list[str]:
    """As the hub's imagenet-1k has to make them: no name twice."""
    seen: set[str] = set()
    names = []
    for name in class_names_imagenet():
        names.append(f"{name} 2" if name in seen else name)
        seen.add(name)
    return names


def arrow(root: Path) -> Path:
    saved(root)
    for name in ("state.json", "dataset_info.json"):
        (root / name).unlink()
    return root


def imagefolder(root: Path) -> Path:
    rows = [{"file_name": n, "label": s} for n, s in zip(VALIDATION, SYNSETS, strict=True)]
    flat(root)
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def names() -> list[str]:
    return [class_names_imagenet()[index] for index in INDICES]


def listed(root: Path, words: list[object], file: str, by: str, head: str = "") -> dict[str, Any]:
    """A flat folder, and a file that says which class each picture is of."""
    rows = [f"{name}{by}{word}" for name, word in zip(VALIDATION, words, strict=True)]
    flat(root / "val")
    (root / file).write_text("\n".join([head] * bool(head) + rows))
    return {"spec": root / "val", "labels": str(root / file)}


def folders(root: Path, words: list[object], reading: str) -> dict[str, Any]:
    return {"spec": classes(root, *words), "labels": reading}


# What images.create is called with, and what is printed: the table of docs/images.md.
CLASSES, FLAT = "class folders, labels: ", "flat folder, labels: "
HUB = "Hugging Face data set, labels: "
TRUTH = "ilsvrc-ids of ILSVRC2012_validation_ground_truth.txt"
LAYOUTS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "synsets": (lambda r: {"spec": classes(r, *SYNSETS)}, CLASSES + "synsets"),
    "class indices": (
        lambda r: folders(r, INDICES, "class-indices"),
        CLASSES + "class-indices",
    ),
    "class indices, padded": (
        lambda r: folders(r, [f"{index:04}" for index in INDICES], "class-indices"),
        CLASSES + "class-indices",
    ),
    "ILSVRC ids": (lambda r: folders(r, IDS, "ilsvrc-ids"), CLASSES + "ilsvrc-ids"),
    "ILSVRC ids beside the kit": (
        lambda r: {"spec": classes(truth(r) / "val", *IDS)},
        CLASSES + "ilsvrc-ids",
    ),
    "class names": (lambda r: folders(r, names(), "class-names"), CLASSES + "class-names"),
    "flat beside the kit": (
        lambda r: {"spec": flat(truth(r / "ILSVRC2012_devkit_t12" / "data").parents[1] / "val")},
        FLAT + TRUTH,
    ),
    "flat, truth by name": (
        lambda r: {"spec": flat(r / "val"), "labels": str(truth(r / "far") / TRUTH.split()[2])},
        "folder, labels: " + TRUTH,
    ),
    "flat, synsets": (
        lambda r: listed(r, SYNSETS, "labels.csv", ",", "filename,label"),
        "folder, labels: synsets of labels.csv",
    ),
    "flat, class indices": (
        lambda r: listed(r, INDICES, "val.txt", " "),
        "folder, labels: class-indices of val.txt",
    ),
    "flat, class names": (
        lambda r: listed(r, names(), "labels.tsv", "\t"),
        "folder, labels: class-names of labels.tsv",
    ),
    "flat, ILSVRC ids": (
        lambda r: listed(r, IDS, "ids.csv", ",") | {"labels": f"{r / 'ids.csv'}:ilsvrc-ids"},
        "folder, labels: ilsvrc-ids of ids.csv",
    ),
    "Kaggle's root": (
        lambda r: {"spec": kaggle(r)},
        "Kaggle's tree, val, labels: synsets of LOC_val_solution.csv",
    ),
    "Kaggle's val": (
        lambda r: {"spec": kaggle(r) / "ILSVRC" / "Data" / "CLS-LOC" / "val"},
        FLAT + "synsets of LOC_val_solution.csv",
    ),
    "tar folder": (lambda r: {"spec": shards(r)}, "tar shards, labels: class-indices"),
    "tar json": (lambda r: {"spec": shards(r, "json")}, "tar shards, labels: class-indices"),
    "tar pattern": (
        lambda r: {"spec": f"{shards(r)}/val-{{000000..000001}}.tar"},
        "tar shards, labels: class-indices",
    ),
    "parquet": (lambda r: {"spec": parquet(r)}, HUB + "class-indices"),
    "parquet by hf:": (lambda r: {"spec": f"hf:{parquet(r)}:validation"}, HUB + "class-indices"),
    "saved": (lambda r: {"spec": saved(r)}, HUB + "synsets"),
    "saved splits": (lambda r: {"spec": saved_splits(r)}, HUB + "class-indices"),
    "arrow": (lambda r: {"spec": arrow(r)}, HUB + "synsets"),
    "imagefolder": (lambda r: {"spec": imagefolder(r)}, FLAT + "synsets of metadata.jsonl"),
}


@pytest.fixture(scope="module")
def expected(linear) -> pd.DataFrame:
    return records(Subset(images.create("sample"), range(len(PICTURES))), linear)


def records(source: images.ImageSource, classifier) -> pd.DataFrame:
    made = evaluate([policies.create("centre")], source, classifier, progress=False).records
    return made[made["saccade"] == 10].reset_index(drop=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_gives_the_records_of_synset_folders(tmp_path, linear, expected, name):
    make, layout = LAYOUTS[name]
    source = images.create(**make(tmp_path / "imagenet"))
    assert (source.layout, type(source)) == (layout, Collection)
    check_image_source(source, limit=2)
    found = records(source, linear).sort_values("label", ignore_index=True)
    wanted = expected.sort_values("label", ignore_index=True)
    pd.testing.assert_frame_equal(found.drop(columns="image"), wanted.drop(columns="image"))


def test_the_docs_say_what_is_printed():
    """Each row of the table is one of the layouts above, and each of them has a row."""
    rows = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    printed = {cell.strip() for row in rows.splitlines() for cell in row.split("|")[3:4]}
    assert {layout for _, layout in LAYOUTS.values()} == {
        cell.strip("`") for cell in printed if cell.startswith("`")
    }
