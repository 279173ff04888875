"""ImageNet as people have it: every layout gives the records of synset folders."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from saccade_env import evaluate, images, policies
from saccade_env.images import SAMPLE, Collection
from saccade_env.images.classes import class_names_imagenet, ilsvrc_order, synset_ids_imagenet
from saccade_env.images.derived import Subset

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


def listed(root: Path, lines: list[str], name: str = "labels.csv") -> Path:
    (root / name).write_text("\n".join(lines))
    return root / name


Made = tuple[object, dict[str, object], str]  # what to open, with which keywords, and its layout


def labelled(
    root: Path, words: list[object], *, name: str = "l.csv", head: str = "", by: str = ","
) -> Made:
    lines = [f"{file}{by}{word}" for file, word in zip(VALIDATION, words, strict=True)]
    file = listed(flat(root / "pictures").parent, [head] * bool(head) + lines, name)
    return root / "pictures", {"labels": file}, ""


def made(name: str, root: Path) -> Made:
    names = [class_names_imagenet()[index] for index in INDICES]
    makers: dict[str, Callable[[], Made]] = {
        "class indices": lambda: (
            classes(root, *INDICES),
            {"labels": "class-indices"},
            FOLDER + "class-indices",
        ),
        "class indices, padded": lambda: (
            classes(root, *(f"{index:04}" for index in INDICES)),
            {"labels": "class-indices"},
            FOLDER + "class-indices",
        ),
        "ILSVRC ids": lambda: (
            classes(root, *IDS),
            {"labels": "ilsvrc-ids"},
            FOLDER + "ilsvrc-ids",
        ),
        "ILSVRC ids beside the kit": lambda: (
            classes(truth(root) / "val", *IDS),
            {},
            FOLDER + "ilsvrc-ids",
        ),
        "class names": lambda: (
            classes(root, *names),
            {"labels": "class-names"},
            FOLDER + "class-names",
        ),
        "flat beside the kit": lambda: (
            flat(truth(root / "ILSVRC2012_devkit_t12" / "data").parents[1] / "val"),
            {},
            "flat folder, labels: ilsvrc-ids of ILSVRC2012_validation_ground_truth.txt",
        ),
        "flat, synsets": lambda: labelled(root, SYNSETS, head="filename,label"),
        "flat, class indices": lambda: labelled(root, INDICES, name="val.txt", by=" "),
        "flat, names": lambda: labelled(root, names, name="l.tsv", by="\t"),
        "flat, ids": lambda: (
            lambda path, words, _: (path, {"labels": f"{words['labels']}:ilsvrc-ids"}, "")
        )(*labelled(root, IDS)),
        "Kaggle's root": lambda: (
            kaggle(root),
            {},
            "Kaggle's tree, val, labels: synsets of LOC_val_solution.csv",
        ),
        "Kaggle's val": lambda: (
            kaggle(root) / "ILSVRC" / "Data" / "CLS-LOC" / "val",
            {},
            "flat folder, labels: synsets of LOC_val_solution.csv",
        ),
        "tar folder": lambda: (shards(root), {}, "tar shards, labels: class-indices"),
        "tar json": lambda: (shards(root, "json"), {}, "tar shards, labels: class-indices"),
        "tar pattern": lambda: (f"{shards(root)}/val-{{000000..000001}}.tar", {}, ""),
        "parquet": lambda: (parquet(root), {}, "Hugging Face data set, labels: class-indices"),
        "parquet by hf:": lambda: (f"hf:{parquet(root)}:validation", {}, ""),
        "saved": lambda: (saved(root), {}, "Hugging Face data set, labels: synsets"),
        "saved splits": lambda: (
            saved_splits(root),
            {},
            "Hugging Face data set, labels: class-indices",
        ),
        "arrow": lambda: (arrow(root), {}, ""),
        "imagefolder": lambda: (
            imagefolder(root),
            {},
            "flat folder, labels: synsets of metadata.jsonl",
        ),
    }
    return makers[name]()


NAMES = [
    "class indices", "class indices, padded", "ILSVRC ids", "ILSVRC ids beside the kit",
    "class names", "flat beside the kit", "flat, synsets", "flat, class indices", "flat, names",
    "flat, ids", "Kaggle's root", "Kaggle's val", "tar folder", "tar json", "tar pattern",
    "parquet", "parquet by hf:", "saved", "saved splits", "arrow", "imagefolder",
]  # fmt: skip


@pytest.fixture(scope="module")
def expected(linear) -> pd.DataFrame:
    return records(Subset(images.create("sample"), range(len(PICTURES))), linear)


def records(source: images.ImageSource, classifier) -> pd.DataFrame:
    made = evaluate([policies.create("centre")], source, classifier, progress=False).records
    return made[made["saccade"] == 10].reset_index(drop=True)


@pytest.mark.parametrize("name", NAMES)
def test_each_layout_gives_the_records_of_synset_folders(tmp_path, linear, expected, name):
    spec, keywords, layout = made(name, tmp_path / "imagenet")
    source = images.create(spec, **keywords)
    assert layout in ("", source.layout)
    assert isinstance(source, Collection)
    found = records(source, linear).sort_values(["label"], ignore_index=True)
    wanted = expected.sort_values(["label"], ignore_index=True)
    pd.testing.assert_frame_equal(found.drop(columns="image"), wanted.drop(columns="image"))
