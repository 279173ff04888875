"""The images room as others use it: create, available, load_batch, stack, names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade_env import images
from saccade_env.core import UNLABELLED
from saccade_env.images import SAMPLE, Collection, ImageSource, Picture, Preprocess
from saccade_env.images.derived import Subset

SMALL = Preprocess((32, 48))


class Noise:
    """A source of another kind: nothing but the protocol."""

    name = "noise"
    image_size = (8, 8)
    labels = "none"
    identity = "0" * 64
    preprocess = None
    description: dict[str, str] = {}  # noqa: RUF012
    class_names: list[str] = []  # noqa: RUF012

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> Picture:
        pixels = np.random.default_rng(i).integers(0, 256, (3, 8, 8 + i // 2), dtype=np.uint8)
        return Picture(torch.from_numpy(pixels), None, self.id(i))

    def id(self, i: int) -> str:
        return f"noise/{i}"


@pytest.fixture
def no_default(monkeypatch):
    monkeypatch.delenv("SACCADE_IMAGENET", raising=False)


def test_the_sample_by_name():
    source = images.create("sample", SMALL)
    assert (source.name, len(source), source.labels) == ("sample", 34, "imagenet")
    assert source.image_size == (32, 48)
    assert images.create("sample", name="other").name == "other"


@pytest.mark.usefixtures("no_default")
def test_the_default_is_the_sample():
    assert images.create().name == images.create(None).name == "sample"


def test_the_default_can_be_set(monkeypatch, tmp_path):
    shutil.copytree(SAMPLE / "n02123045", tmp_path / "mine")
    monkeypatch.setenv("SACCADE_IMAGENET", str(tmp_path / "mine"))
    source = images.create(None, SMALL)
    assert (source.name, source.image_size) == ("mine", (32, 48))
    monkeypatch.setenv("SACCADE_IMAGENET", str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"\$SACCADE_IMAGENET.*gone does not exist"):
        images.create()
    monkeypatch.setenv("SACCADE_IMAGENET", "")
    assert images.create().name == "sample"


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_a_path(tmp_path, kind):
    shutil.copytree(SAMPLE / "n02123045", tmp_path / "sample")
    source = images.create(kind(tmp_path / "sample"))
    assert (source.labels, source.id(0)) == ("none", "chelsea.jpg")


def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE / "n02123045", tmp_path / "sample")
    monkeypatch.chdir(tmp_path)
    assert len(images.create("sample")) == 34
    assert len(images.create("./sample")) == 1


@pytest.mark.parametrize("source", [Noise(), images.create(SAMPLE, SMALL)], ids=["own", "folder"])
def test_a_source_is_returned_as_it_is(source):
    assert isinstance(source, ImageSource)
    assert images.create(source) is source
    assert images.create(source, Preprocess((64, 64))) is source


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smaple", "Did you mean 'sample'"),
        ("imagenete", "Did you mean 'imagenette'"),
        ("imagenet", "'imagenet:ROOT'"),
        ("imagenet:", "'imagenet:ROOT'"),
        ("imagenet:no/such", "cannot open ImageNet in no/such (there is no such folder). Put ILS"),
        ("no/such/folder", "no/such/folder does not exist"),
        ("", "images is an empty text; expected one of sample, "),
        ("a\0b", "does not exist"),
        (b"sample", "images must be a name, a path or an ImageSource; got bytes, which lacks"),
        (3, "got int, which lacks __getitem__, __len__, class_names"),
        (SAMPLE / "LICENSES.md", "LICENSES.md is a file"),
        (Path(__file__).parent, "no picture in"),
    ],
    ids=str,
)
def test_images_that_cannot_be_used(spec, message):
    with pytest.raises((OSError, TypeError, ValueError), match=re.escape(message)):
        images.create(spec)


def test_a_source_says_what_it_lacks(monkeypatch):
    monkeypatch.delattr(Noise, "preprocess")
    with pytest.raises(TypeError, match="got Noise, which lacks preprocess$"):
        images.create(Noise())


def test_a_source_is_taken_without_reading_its_files(monkeypatch):
    monkeypatch.setattr(Collection, "identity", property(lambda self: 1 / 0))
    half = Subset(images.create("sample"), [0, 2])
    assert images.create(half) is half


def test_available_names_what_create_takes():
    table = images.available()
    assert list(table) == ["sample", "imagenette", "imagenet:ROOT", "PATH", "hf:REPO[:SPLIT]"]
    assert all(text and "\n" not in text for text in table.values())


@pytest.mark.parametrize("indices", [[3, 0, 3], torch.tensor([3, 0, 3])], ids=["list", "tensor"])
def test_load_batch(indices):
    source = images.create("sample", SMALL)
    batch, labels = images.load_batch(source, indices)
    assert (batch.shape, batch.dtype) == ((3, 3, 32, 48), torch.uint8)
    assert torch.equal(batch[0], source[3].image)
    assert torch.equal(batch[0], batch[2])
    assert labels.dtype == torch.int64
    assert labels.tolist() == [source[3].label, source[0].label, source[3].label]


def test_load_batch_without_labels():
    batch, labels = images.load_batch(Noise(), [0, 1])
    assert batch.shape == (2, 3, 8, 8)
    assert labels.tolist() == [UNLABELLED, UNLABELLED]


def test_a_batch_is_of_one_size():
    with pytest.raises(ValueError, match=r"'noise/2' must be uint8 \(3, 8, 8\); got .*\(3, 8, 9\)"):
        images.load_batch(Noise(), [0, 2])
    with pytest.raises(ValueError, match="'noise/0'"):
        images.stack([Noise()[2], Noise()[0]])
    with pytest.raises(ValueError, match="'noise/0'"):
        images.check_same_size([Noise()[0]], (8, 9))
    with pytest.raises(ValueError, match="at least one"):
        images.load_batch(Noise(), [])


def test_names_of_the_imagenet_classes():
    names, synsets = images.class_names_imagenet(), images.synset_ids_imagenet()
    assert len(names) == len(synsets) == len(set(synsets)) == 1000
    assert synsets == sorted(synsets)
    assert (synsets[0], names[0], names[1]) == ("n01440764", "tench", "goldfish")
    assert names[2] == "great white shark"
    assert not any("," in name or not name for name in names)
    names.clear()
    assert len(images.class_names_imagenet()) == 1000


def test_importing_the_room_is_cheap():
    heavy = {"torchvision", "timm", "pandas", "matplotlib", "stable_baselines3"}
    code = f"import sys, saccade_env.images; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
