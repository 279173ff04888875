"""Fixations of people for tests, in pixels of pictures, and files of them in every format."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from saccade_env import images
from saccade_env.evaluation.human import read_fixations
from saccade_env.images import Collection, ImageSource, Preprocess

SIZE, PATCH, GRID = (32, 48), 8, (4, 6)
SIZES = {"000000000001.png": (60, 90), "000000000002.png": (90, 60), "000000000003.png": (50, 50)}
SCREEN = (105, 168)
Looks = dict[tuple[str, str], list[tuple[float, float]]]  # (y, x) by image and subject
BLINKS: Looks = {("000000000003.png", "1"): [(25, 25), (math.nan, math.nan), (26, 26)]}


def pictures(root: Path) -> Collection:
    """Of several shapes, in a folder in the folder."""
    (root / "n02123045").mkdir()
    for name, (height, width) in SIZES.items():
        Image.new("RGB", (width, height)).save(root / "n02123045" / name)
    return images.create(root, Preprocess(SIZE, resize=36))


def as_csv(path: Path, looks: Looks, columns: str = "y,x") -> Path:
    lines = [
        f"{image},{subject},{order},{y!r},{x!r}"
        for (image, subject), places in looks.items()
        for order, (y, x) in enumerate(places)
    ]
    path.write_text("\n".join([f"image,subject,order,{columns}", *lines]))
    return path


def as_json(path: Path, looks: Looks, **more: Any) -> Path:
    records = [
        {"name": name, "subject": int(subject), "condition": "freeview", "T": [200] * len(places),
         "Y": [y for y, _ in places], "X": [x for _, x in places], **more}
        for (name, subject), places in looks.items()
    ]  # fmt: skip
    path.write_text(json.dumps(records))
    return path


def trains(looks: Looks) -> dict[str, np.ndarray]:
    """As pysaliency's FixationTrains have them: padded with NaN."""
    longest = max(map(len, looks.values()))
    padded = np.full((2, len(looks), longest), np.nan)
    for i, places in enumerate(looks.values()):
        padded[:, i, : len(places)] = np.array(places).T
    numbers = [[*SIZES].index(image) for image, _ in looks]
    people = [int(subject) for _, subject in looks]
    return {"ys": padded[0], "xs": padded[1], "ns": np.array(numbers), "subjects": np.array(people)}


def as_hdf5(folder: Path, looks: Looks, *, new: bool = False) -> tuple[Path, Path]:
    """What pysaliency writes: FixationTrains, or ScanpathFixations of its later versions."""
    found = trains(looks)
    import h5py

    with h5py.File(folder / "fixations.hdf5", "w") as file:
        file.attrs["type"] = np.bytes_("ScanpathFixations" if new else "FixationTrains")
        if new:
            group = file.create_group("scanpaths")
            group.create_dataset("n", data=found["ns"])
            group.create_dataset("length", data=[*map(len, looks.values())])
            group.create_dataset("scanpath_attributes/subject", data=found["subjects"])
            group.create_dataset("xs", data=np.nan_to_num(found["xs"]))
            group.create_dataset("ys", data=np.nan_to_num(found["ys"]))
        else:
            for name, values in found.items():
                file.create_dataset(f"train_{name}", data=values)
    with h5py.File(folder / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["size"] = np.bytes_("FileStimuli"), len(SIZES)
        names = [f"stimuli/{name}".encode() for name in SIZES]
        file.create_dataset("filenames", data=names, dtype=h5py.special_dtype(vlen=str))
        shapes = file.create_dataset("shapes", (len(SIZES),), h5py.special_dtype(vlen=np.int64))
        for i, size in enumerate(SIZES.values()):
            shapes[i] = [*size, 3]
    return folder / "fixations.hdf5", folder / "stimuli.hdf5"


def on_screen(looks: Looks, screen: tuple[int, int] = SCREEN) -> Looks:
    """Shown as large as fits, in the middle."""
    shown = {}
    for (image, subject), places in looks.items():
        height, width = SIZES[image]
        scale = min(screen[0] / height, screen[1] / width)
        top, left = (screen[0] - scale * height) / 2, (screen[1] - scale * width) / 2
        shown[image, subject] = [(top + scale * y, left + scale * x) for y, x in places]
    return shown


def inside_the_crop() -> Looks:
    """Two people on each picture, where the crop of 32×48 after the resize keeps it."""
    generator = np.random.default_rng(0)
    return {
        (image, subject): [
            (height * y, width * x)
            for y, x in generator.uniform(0.4, 0.6, (3 + (subject == "2"), 2)).tolist()
        ]
        for image, (height, width) in SIZES.items()
        for subject in "12"
    }


def read(fixations: Any, source: ImageSource | None, **keywords: Any) -> pd.DataFrame:
    return read_fixations(fixations, source=source, patch_size=PATCH, **keywords)


def quietly(fixations: Any, source: ImageSource, **keywords: Any) -> pd.DataFrame:
    """Without the note on file names."""
    with pytest.warns(UserWarning, match="found by file name"):
        return read(fixations, source, **keywords)
