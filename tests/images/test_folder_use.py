"""A collection in use: broken files, identity, pickling, indices, many files."""

from __future__ import annotations

import os
import pickle
import shutil
import time
import warnings

import pytest
import torch
from torchvision.datasets import ImageFolder

from saccade_env import images
from saccade_env.images import (
    SAMPLE,
    BrokenImageError,
    Collection,
    Preprocess,
    identity,
    storage,
    synset_ids_imagenet,
)
from saccade_env.testing import check_image_source

SMALL = Preprocess((32, 48))
REAL = SAMPLE / "n02123045" / "chelsea.jpg"


def ids(source: Collection) -> list[str]:
    return [source.id(i) for i in range(len(source))]


def test_a_broken_file_among_good_ones(fill, tmp_path):
    fill(tmp_path, "n02123045/a.jpg", "n02123045/c.jpg")
    (tmp_path / "n02123045" / "b.jpg").write_bytes(REAL.read_bytes()[:5000])
    (tmp_path / "n02123045" / "d.jpg").touch()
    (tmp_path / "n02123045" / "e.jpg").symlink_to(tmp_path / "nowhere")
    source = images.create(tmp_path, SMALL)
    assert len(source) == 5
    assert source.identity
    assert source[0].image.shape == source[2].image.shape
    for i, reason in ((1, "truncated"), (3, "empty"), (4, "No such file")):
        with pytest.raises(BrokenImageError, match=rf"{'abcde'[i]}\.jpg: .*{reason}"):
            source[i]
    check_image_source(source, broken=(1, 3, 4))


def test_identity_is_by_content(fill, tmp_path):
    names = ["n02123045/a.jpg", "n01443537/a.jpg"]
    identity = images.create(fill(tmp_path / "one", *names)).identity
    assert len(identity) == 64
    assert int(identity, 16)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert images.create(tmp_path / "two", SMALL, name="other").identity == identity
    fill(tmp_path / "two", "n02123045/b.jpg")
    assert images.create(tmp_path / "two").identity != identity
    replaced = tmp_path / "one" / names[0]
    flip_a_bit(replaced)
    assert images.create(tmp_path / "one").identity != identity
    replaced.unlink()
    replaced.symlink_to(tmp_path / "nowhere")
    assert images.create(tmp_path / "one").identity != identity


def flip_a_bit(path):
    """Size and date stay as they are."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The cache of a folder, with which files count as unchanged at once."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "_WORTH_KEEPING", 2)
    monkeypatch.setattr(identity, "_SETTLED_NS", -(10**12))
    return tmp_path / "cache" / "identities"


def test_what_was_read_once_is_remembered_until_it_changes(fill, tmp_path, kept, monkeypatch):
    root = fill(tmp_path / "one", "a.jpg", "b.jpg", "c.jpg")
    first = images.create(root).identity
    read = []

    def reading(path):
        read.append(path)
        return open(path, "rb")

    monkeypatch.setattr(storage, "open_file", reading)
    assert images.create(root).identity == first
    assert read == []
    flip_a_bit(root / "b.jpg")
    changed = images.create(root).identity
    assert (changed != first, read) == (True, [str(root / "b.jpg")])
    for damage in ("", "[]", '{"a": 3}'):
        next(kept.iterdir()).write_text(damage)
        assert images.create(root).identity == changed


def test_what_changed_just_now_is_not_remembered(fill, tmp_path, kept, monkeypatch):
    monkeypatch.setattr(identity, "_SETTLED_NS", 3 * 10**9)
    assert images.create(fill(tmp_path / "one", "a.jpg", "b.jpg")).identity
    assert not kept.exists()


def test_a_cache_that_cannot_be_written_is_no_matter(fill, tmp_path, kept, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "file"))
    assert images.create(fill(tmp_path / "one", "a.jpg", "b.jpg")).identity


def test_pickling(fill, tmp_path):
    source = images.create(fill(tmp_path, "n02123045/a.jpg"), SMALL)
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy[0].image, source[0].image)
    assert (copy.identity, copy.labels) == (source.identity, "imagenet")
    assert pickle.loads(pickle.dumps(source)).identity == source.identity  # worked out by now
    assert repr(copy) == repr(source)


def test_indices_are_those_of_a_list(fill, tmp_path):
    source = images.create(fill(tmp_path, "a.jpg", "b.jpg"), SMALL)
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
    assert len(images.create(tmp_path)) == 5000
    assert time.perf_counter() - start < 2


def test_the_shared_imagenet_pictures(shared):
    root = shared / "imagenet"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = images.create(root / "val")
    words = (root / "synset_words.txt").read_text().splitlines()
    assert synset_ids_imagenet() == [line.split()[0] for line in words]
    assert len(source) == 918
    assert source.labels == "imagenet"
    reference = ImageFolder(root / "val").samples
    assert ids(source) == [os.path.relpath(path, source.root) for path, _ in reference]
    assert all(words[source[i].label].startswith(source.id(i)[:9]) for i in range(0, 918, 90))
    with pytest.raises(ValueError, match=f"choose {root / 'val'}"):
        images.create(root)
