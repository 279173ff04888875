"""Folders: layouts, labels, order, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from saccade_env import images
from saccade_env.images import (
    Collection,
    ImageSource,
    Preprocess,
    class_names_imagenet,
)
from saccade_env.images.layouts import open_path

SMALL = Preprocess((32, 48))


def ids(source: Collection) -> list[str]:
    return [source.id(i) for i in range(len(source))]


def labels(source: Collection) -> list[int | None]:
    return [picture.label for picture in source]


def own(root: Path) -> Collection:
    with pytest.warns(UserWarning, match="accuracy against an ImageNet classifier"):
        return images.create(root, SMALL)


def test_synset_folders_carry_imagenet_labels(fill, tmp_path):
    fill(tmp_path, "n02123045/b.JPEG", "n01443537/deep/er/a.png", "n02123045/a.jpg")
    source = images.create(tmp_path, SMALL)
    assert isinstance(source, ImageSource)
    assert (source.labels, source.image_size, source.name) == ("imagenet", (32, 48), tmp_path.name)
    assert ids(source) == ["n01443537/deep/er/a.png", "n02123045/a.jpg", "n02123045/b.JPEG"]
    assert labels(source) == [1, 281, 281]
    assert source.class_names == class_names_imagenet()
    assert [source.class_names[label] for label in (1, 281)] == ["goldfish", "tabby"]


def test_a_picture_is_decoded_and_preprocessed(fill, tmp_path):
    source = images.create(fill(tmp_path, "n02123045/a.jpg"), SMALL)
    picture = source[0]
    assert picture.image.shape == (3, 32, 48)
    assert picture.image.dtype == torch.uint8
    assert torch.equal(picture.image, SMALL(Image.open(tmp_path / picture.id)))
    assert picture[1:] == (281, "n02123045/a.jpg")


def test_other_class_folders_get_numbers_of_their_own(fill, tmp_path):
    source = own(fill(tmp_path, "zebra/a.jpg", "ant/a.jpg", "ant/b.jpg"))
    assert source.labels == "own"
    assert source.class_names == ["ant", "zebra"]
    assert labels(source) == [0, 0, 1]


def test_one_folder_that_is_no_synset_makes_all_labels_own(fill, tmp_path):
    fill(tmp_path, "n02123045/a.jpg", "n99999999/a.jpg")
    with pytest.warns(UserWarning, match="'n99999999' is no ImageNet-1k synset") as caught:
        assert images.create(tmp_path, SMALL).labels == "own"
    assert len(caught) == 1


def test_a_flat_folder_has_no_labels(fill, tmp_path):
    source = images.create(fill(tmp_path, "b.jpg", "a.webp", "c.TIFF"), SMALL, name="mine")
    assert (source.labels, source.class_names, source.name) == ("none", [], "mine")
    assert ids(source) == ["a.webp", "b.jpg", "c.TIFF"]
    assert labels(source) == [None, None, None]


def test_class_folders_win_over_loose_pictures(fill, tmp_path):
    fill(tmp_path, "n02123045/a.jpg", "x.jpg", "y.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.warns(UserWarning, match="left out: 2 in no class folder"):
        source = images.create(tmp_path, SMALL)
    assert ids(source) == ["n02123045/a.jpg"]


def test_empty_and_hidden_folders_do_not_count(fill, tmp_path):
    fill(tmp_path, "n02123045/a.jpg", ".cache/b.jpg", "n02123045/._a.jpg", "n02123045/.t/c.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no picture")
    source = images.create(tmp_path, SMALL)
    assert (source.labels, ids(source)) == ("imagenet", ["n02123045/a.jpg"])


def test_empty_class_folders_beside_loose_pictures(fill, tmp_path):
    (tmp_path / "empty").mkdir()
    assert images.create(fill(tmp_path, "a.jpg"), SMALL).labels == "none"


def test_a_hidden_root_is_fine(fill, tmp_path):
    assert len(images.create(fill(tmp_path / ".cache", "n02123045/a.jpg"), SMALL)) == 1


def test_links_are_followed(fill, tmp_path):
    real = fill(tmp_path / "real", "a.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "n02123045").symlink_to(real)
    assert labels(images.create(tmp_path / "root", SMALL)) == [281]


def test_order_does_not_depend_on_the_order_of_creation(fill, tmp_path):
    names = [f"{wnid}/{i}.jpg" for wnid in ("n02123045", "n01443537") for i in (10, 9, 1)]
    one, two = fill(tmp_path / "1", *names), fill(tmp_path / "2", *reversed(names))
    assert ids(images.create(one)) == ids(images.create(two)) == sorted(names)


@pytest.mark.parametrize("text", [True, False])
def test_the_root_may_be_text_and_relative(fill, tmp_path, monkeypatch, text):
    fill(tmp_path / "mine", "a.jpg")
    monkeypatch.chdir(tmp_path / "mine")
    source = images.create("." if text else Path("."))
    monkeypatch.chdir(tmp_path)
    assert source.name == "mine"
    assert source[0].label is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert images.create("~/mine").root == str(tmp_path / "mine")


def test_what_is_refused(fill, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder.*gone"):
        open_path(tmp_path / "gone")
    with pytest.raises(NotADirectoryError, match=r"a\.jpg is a file"):
        images.create(fill(tmp_path / "flat", "a.jpg") / "a.jpg")
    (tmp_path / "empty" / "n02123045").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no picture in .*empty.*\.jpeg, \.jpg.*\.png"):
        images.create(tmp_path / "empty")


@pytest.mark.parametrize(
    ("splits", "choice"),
    [(("train", "val"), "val"), (("train", "test"), "test"), (("train",), "train")],
    ids=str,
)
def test_a_folder_of_splits_asks_to_choose(fill, tmp_path, splits, choice):
    fill(tmp_path, *(f"{split}/n02123045/a.jpg" for split in splits))
    with pytest.raises(ValueError, match=f"choose {tmp_path / choice}$"):
        images.create(tmp_path)


def test_a_class_may_be_called_train(fill, tmp_path):
    assert own(fill(tmp_path, "train/a.jpg", "val/a.jpg")).class_names == ["train", "val"]
