"""FolderSource in use: broken files, identity, pickling, indices, many files."""

from __future__ import annotations

import os
import pickle
import shutil
import time
import warnings

import pytest
import torch
from torchvision.datasets import ImageFolder

from saccade_env.images import (
    SAMPLE,
    BrokenImageError,
    FolderSource,
    Preprocess,
    synset_ids_imagenet,
)

SMALL = Preprocess((32, 48))
REAL = SAMPLE / "n02123045" / "chelsea.jpg"


def ids(source: FolderSource) -> list[str]:
    return [source.id(i) for i in range(len(source))]


def test_a_broken_file_among_good_ones(fill, tmp_path):
    fill(tmp_path, "n02123045/a.jpg", "n02123045/c.jpg")
    (tmp_path / "n02123045" / "b.jpg").write_bytes(REAL.read_bytes()[:5000])
    (tmp_path / "n02123045" / "d.jpg").touch()
    (tmp_path / "n02123045" / "e.jpg").symlink_to(tmp_path / "nowhere")
    source = FolderSource(tmp_path, SMALL)
    assert len(source) == 5
    assert source.identity
    assert source[0].image.shape == source[2].image.shape
    for i, reason in ((1, "truncated"), (3, "empty"), (4, "No such file")):
        with pytest.raises(BrokenImageError, match=rf"{'abcde'[i]}\.jpg: .*{reason}"):
            source[i]


def test_identity(fill, tmp_path):
    names = ["n02123045/a.jpg", "n01443537/a.jpg"]
    identity = FolderSource(fill(tmp_path / "one", *names)).identity
    assert len(identity) == 64
    assert int(identity, 16)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert FolderSource(tmp_path / "two", SMALL, name="other").identity == identity
    fill(tmp_path / "two", "n02123045/b.jpg")
    assert FolderSource(tmp_path / "two").identity != identity
    with (tmp_path / "one" / names[0]).open("ab") as file:
        file.write(b"x")
    assert FolderSource(tmp_path / "one").identity != identity


def test_pickling(fill, tmp_path):
    source = FolderSource(fill(tmp_path, "n02123045/a.jpg"), SMALL)
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy[0].image, source[0].image)
    assert (copy.identity, copy.labels) == (source.identity, "imagenet")
    assert pickle.loads(pickle.dumps(source)).identity == source.identity  # worked out by now
    assert repr(copy) == repr(source)


def test_indices_are_those_of_a_list(fill, tmp_path):
    source = FolderSource(fill(tmp_path, "a.jpg", "b.jpg"), SMALL)
    assert source[-1].id == source.id(-1) == source.id(torch.tensor(1)) == "b.jpg"
    for bad in (2, -3):
        for read in (source.__getitem__, source.id):
            with pytest.raises(IndexError, match=rf"no picture {bad} .* which has 2"):
                read(bad)


def test_scanning_is_quick(tmp_path):
    for wnid in synset_ids_imagenet()[:100]:
        (tmp_path / wnid).mkdir()
        for i in range(50):
            (tmp_path / wnid / f"{i}.JPEG").touch()
    start = time.perf_counter()
    assert len(FolderSource(tmp_path)) == 5000
    assert time.perf_counter() - start < 2


def test_the_shared_imagenet_pictures(shared):
    root = shared / "imagenet"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = FolderSource(root / "val")
    words = (root / "synset_words.txt").read_text().splitlines()
    assert synset_ids_imagenet() == [line.split()[0] for line in words]
    assert len(source) == 918
    assert source.labels == "imagenet"
    reference = ImageFolder(root / "val").samples
    assert ids(source) == [os.path.relpath(path, source.root) for path, _ in reference]
    assert all(words[source[i].label].startswith(source.id(i)[:9]) for i in range(0, 918, 90))
    with pytest.raises(ValueError, match=f"choose {root / 'val'}"):
        FolderSource(root)
