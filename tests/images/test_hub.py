"""Imagenette and ImageNet through torchvision, on tiny stand-ins; never the network."""

from __future__ import annotations

import pickle
import shutil
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision.datasets

from saccade_env import images
from saccade_env.images import SAMPLE, Preprocess, hub
from saccade_env.images.hub import cache_dir, imagenet, imagenette

TENCH, CHURCH = "n01440764", "n03028079"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    def refuse(*arguments, **keywords):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.imagenette.download_and_extract_archive", refuse)


def lay_out(root: Path) -> None:
    """One picture for each of two classes, in two splits."""
    for split in ("train", "val"):
        for wnid in (TENCH, CHURCH):
            (root / split / wnid).mkdir(parents=True)
            shutil.copy(next(SAMPLE.glob("*/clock.jpg")), root / split / wnid / f"{split}.JPEG")


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SACCADE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "saccade_env"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "saccade_env"
    monkeypatch.setenv("SACCADE_CACHE", "~/mine")
    assert cache_dir() == tmp_path / "mine"
    assert not cache_dir().exists()


@pytest.mark.usefixtures("offline")
def test_imagenette_that_is_there_needs_no_network(cache):
    lay_out(cache / hub.IMAGENETTE)
    source = imagenette(preprocess=Preprocess((32, 32)))
    assert (source.name, source.labels, source.image_size) == ("imagenette", "imagenet", (32, 32))
    assert [source.id(i) for i in range(2)] == [f"{TENCH}/val.JPEG", f"{CHURCH}/val.JPEG"]
    assert [picture.label for picture in source] == [0, 497]
    train = images.create("imagenette", split="train", root=cache)
    assert train.id(0) == f"{TENCH}/train.JPEG"


def test_imagenette_that_is_absent_is_fetched_by_torchvision(cache, monkeypatch):
    asked = []

    def fetch(url: str, root: str, md5: str) -> None:
        asked.append((url, Path(root), len(md5)))
        lay_out(Path(root) / hub.IMAGENETTE)

    monkeypatch.setattr("torchvision.datasets.imagenette.download_and_extract_archive", fetch)
    assert len(images.create("imagenette")) == len(images.create("imagenette")) == 2
    assert [(url.endswith("/imagenette2.tgz"), root, md5) for url, root, md5 in asked] == [
        (True, cache, 32)
    ]


@pytest.mark.usefixtures("offline")
def test_imagenette_without_network_says_what_to_do(cache):
    with pytest.raises(OSError, match="cannot get Imagenette") as caught:
        imagenette()
    for hint in (str(cache), "service not known", "unpack imagenette2.tgz", "'sample'"):
        assert hint in str(caught.value)


@pytest.mark.usefixtures("offline")
def test_half_unpacked_imagenette_says_what_to_do(cache):
    (cache / hub.IMAGENETTE).mkdir(parents=True)
    with pytest.raises(OSError, match="remove an incomplete"):
        imagenette()


def test_imagenet_as_torchvision_unpacked_it(tmp_path):
    lay_out(tmp_path)
    names = {TENCH: ("tench", "Tinca tinca"), CHURCH: ("church", "church building")}
    torch.save((names, []), tmp_path / "meta.bin")  # as torchvision writes it from the devkit
    source = imagenet(tmp_path)
    assert (source.name, source.labels, len(source)) == ("imagenet", "imagenet", 2)
    assert source.root == str(tmp_path / "val")
    train = images.create(f"imagenet:{tmp_path}", Preprocess((16, 16)), split="train")
    assert train[1].label == 497
    assert train.image_size == (16, 16)


def test_imagenet_is_opened_by_torchvision(tmp_path, monkeypatch):
    class Fake:
        def __init__(self, root: Path, split: str) -> None:
            lay_out(root)
            self.split_folder = str(root / split)

    monkeypatch.setattr(torchvision.datasets, "ImageNet", Fake)
    assert imagenet(str(tmp_path)).id(1) == f"{CHURCH}/val.JPEG"


def test_imagenet_without_archives_says_what_to_do(tmp_path):
    lay_out(tmp_path)
    with pytest.raises(OSError, match="cannot open ImageNet") as caught:
        imagenet(tmp_path)
    for hint in (str(tmp_path / "val"), "ILSVRC2012_img_val.tar", "devkit"):
        assert hint in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps(Path), b"PK\3\4"], ids=str)
def test_a_damaged_table_of_classes(tmp_path, content):
    lay_out(tmp_path)
    (tmp_path / "meta.bin").write_bytes(content)
    with pytest.raises(OSError, match="cannot open ImageNet") as caught:
        imagenet(tmp_path)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("spec", ["imagenette", "imagenet:{here}"])
def test_an_unknown_split(spec, tmp_path):
    with pytest.raises(ValueError, match="'vall' for argument split"):
        images.create(spec.format(here=tmp_path), split="vall")
