"""Layouts and labels that could mean two things, or nothing: one error that says what to do."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from saccade_env import images
from saccade_env.images.labels import AmbiguousLabelsError, order

CAT, FISH = "n02123045", "n01443537"


def opened(root: object, labels: str | Path | None = None) -> images.Collection:
    return images.create(root, labels=labels)


def listed(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root.parent / name).write_text(text)
    return root.parent / name


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (["1", "1000"], ["ilsvrc-ids", "class-indices-from-1"]),
        (["7", "12"], ["class-indices", "ilsvrc-ids", "class-indices-from-1"]),
        (["0", "1", "2"], ["class-indices", "own"]),
        (["0001", "0002"], ["class-indices", "ilsvrc-ids", "class-indices-from-1", "own"]),
    ],
    ids=str,
)
def test_folders_of_numbers_that_may_mean_several_things(fill, tmp_path, names, readings):
    root = fill(tmp_path, *(f"{name}/a.jpg" for name in names))
    with pytest.raises(AmbiguousLabelsError) as caught:
        opened(root)
    assert list(caught.value.readings) == readings
    assert all(f"--labels {reading}" in str(caught.value) for reading in readings)


def test_numbers_that_can_only_be_class_indices(fill, tmp_path):
    source = opened(fill(tmp_path, "0/a.jpg", "0281/a.jpg"))
    assert ([picture.label for picture in source], source.labels) == ([0, 281], "imagenet")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0", "1000"], "class 1000 .* is outside 0…999"),
        (["5", "1001"], "class 1001 .* is outside 0…999"),
        ([CAT, "17"], r"several ways: 'n02123045' \(a synset\), '17' \(a number\)"),
        ([CAT, "misc"], r"several ways: 'n02123045' \(a synset\), 'misc' \(a name\)"),
    ],
    ids=str,
)
def test_class_folders_that_are_refused(fill, tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        opened(fill(tmp_path, *(f"{name}/a.jpg" for name in names)))


def test_own_classes_may_be_called_anything(fill, tmp_path):
    with pytest.warns(UserWarning, match="'17' is no ImageNet-1k synset id"):
        source = opened(fill(tmp_path, f"{CAT}/a.jpg", "17/a.jpg"), "own")
    assert (source.labels, source.class_names) == ("own", ["17", CAT])


def test_a_reading_of_what_has_no_classes(fill, tmp_path):
    with pytest.raises(ValueError, match=r"labels='ilsvrc-ids' .* the pictures have none"):
        opened(fill(tmp_path, "a.jpg"), "ilsvrc-ids")


def test_two_folders_of_one_class(fill, tmp_path):
    with pytest.raises(ValueError, match="folders '01' and '1' .* are the same class"):
        opened(fill(tmp_path, "01/a.jpg", "1/a.jpg"), "class-indices")
    with pytest.raises(ValueError, match="class '1_0' .*: expected numbers 0 to 999"):
        opened(fill(tmp_path / "other", "1_0/a.jpg"), "class-indices")


def test_names_in_a_file_may_be_synsets_where_a_name_is_of_two_classes(fill, tmp_path):
    root = fill(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    file = listed(root, "a.jpg,n02012849\nb.jpg,Cardigan\nc.jpg,cardigan\n")
    source = opened(root, file)
    assert ([picture.label for picture in source], source.description["labels_read_as"]) == (
        [134, 264, 474],
        "class-names",
    )


def test_the_advice_for_a_file_of_numbers_can_be_followed(fill, tmp_path):
    root = fill(tmp_path / "p", "a.jpg", "b.jpg")
    file = listed(root, "a.jpg,5\nb.jpg,1000\n")
    with pytest.raises(AmbiguousLabelsError) as caught:
        opened(root, file)
    for option in caught.value.readings:
        assert f"--labels {option}" in str(caught.value)
        assert opened(root, option).labels == "imagenet"


def test_an_empty_class(fill, tmp_path):
    root = fill(tmp_path, f"{CAT}/a.jpg")
    (root / FISH / "texts").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"class folders without a picture in .*: {FISH} \(1\)"):
        opened(root)


def test_a_half_sorted_validation_set(fill, tmp_path):
    with pytest.raises(ValueError, match=r"more than one layout: class folders \(n02123045\) and"):
        opened(fill(tmp_path, f"{CAT}/a.jpg", "ILSVRC2012_val_00000001.JPEG"))


@pytest.mark.parametrize("other", [f"{CAT}/a.jpg", "a.jpg", "x.parquet"])
def test_more_than_one_layout(fill, tmp_path, other):
    (tmp_path / "val-0.tar").write_bytes(b"")
    with pytest.raises(ValueError, match="holds more than one layout: .*tar files"):
        opened(fill(tmp_path, other))


def test_a_file_of_labels_reports_what_it_lacks(fill, tmp_path):
    root = fill(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    file = listed(root, "a.jpg,tabby\nb,goldfish\nx.jpg,281\n".replace("281", "tench"))
    with pytest.warns(UserWarning, match="left out") as caught:
        source = opened(root, file)
    [said] = [str(each.message) for each in caught]
    assert "left out: 1 pictures that labels.csv lacks, such as 'c.jpg'" in said
    assert "labels.csv has 1 names without a picture, such as 'x.jpg'" in said
    assert [(picture.id, picture.label) for picture in source] == [("a.jpg", 281), ("b.jpg", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no picture"),
        ("a.jpg,281\na.jpg,282\n", r"line 2: 'a\.jpg' comes a second time"),
        ("a.jpg,281\na,282\n", "names a picture in two ways"),
        ("a.jpg,281\nb.jpg\n", "line 2: expected a picture and its class"),
        ("image,label\n", "names no picture"),
        ("image,label,class\na.jpg,281,tabby\n", "one column of pictures and one of classes"),
        ("a.jpg,nan\n", "line 1: 'nan' is no class"),
        ("a.jpg,n99999999\nb.jpg,n02123045\n", "1 of 2 classes in .* are not ImageNet-1k's"),
        ("281\n\n282\n", "no ground truth of ILSVRC 2012"),
        ("a.jpg,1001\n", "class 1001 .* is outside 0…999"),
        ("a.jpg,5\nb.jpg,1000\n", "may be .*ilsvrc-ids.*class-indices-from-1"),
        ("a.jpg,tabbi\nb.jpg,goldfish\n", r"'tabbi'\. Did you mean 'tabby'\?"),
        ("a.jpg,tabby\nb.jpg,17\n", "several ways"),
        ("x.jpg,281\n", "names none of the pictures"),
        ("c,281\n", r"'c' in .* stands for 2 pictures"),
    ],
)
def test_files_of_labels_that_are_refused(fill, tmp_path, text, message):
    root = fill(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg", "c.png")
    with pytest.raises(ValueError, match=message):
        opened(root, listed(root, text))


def test_labels_that_are_neither_file_nor_reading(fill, tmp_path):
    root = fill(tmp_path / "p", "a.jpg")
    with pytest.raises(FileNotFoundError, match=r"no such file of labels: gone\.csv"):
        opened(root, "gone.csv")
    with pytest.raises(ValueError, match="Did you mean 'ilsvrc-ids'"):
        opened(root, "ilsvrc-id")


def test_the_development_kit_counts_as_its_ground_truth_does():
    """The first ten lines of ILSVRC 2012's ground truth, and the classes these pictures show."""
    truth = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164]
    shown = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332]
    assert [order("ilsvrc-ids")[number] for number in truth] == shown
    assert sorted(order("ilsvrc-ids").values()) == list(range(1000))


def tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


JPEG = (images.SAMPLE / CAT / "chelsea.jpg").read_bytes()


def test_shards_without_classes_have_no_labels(tmp_path):
    with pytest.warns(UserWarning, match=r"no labels: no \.cls, and no \.json with one of cls"):
        source = opened(tar(tmp_path / "a.tar", x__jpg=JPEG, x__txt=b"a cat"))
    assert (source.layout, source[0].label, source.id(0)) == (
        "tar shards, labels: none",
        None,
        "a/x.jpg",
    )


def test_shards_that_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"1 of 2 pictures in .* have neither \.cls nor \.json"):
        opened(tar(tmp_path / "a.tar", x__jpg=JPEG, y__jpg=JPEG, x__cls=b"1"))
    with pytest.raises(ValueError, match="key 'x' has two pictures"):
        opened(tar(tmp_path / "a.tar", x__jpg=JPEG, x__png=JPEG))
    with pytest.raises(ValueError, match=r"x\.json says no class"):
        opened(tar(tmp_path / "a.tar", x__jpg=JPEG, x__json=b"{"))
    with pytest.raises(FileNotFoundError, match="no picture in"):
        opened(tar(tmp_path / "a.tar", x__cls=b"1"))
    (tmp_path / "a.tar").write_bytes(b"no tar file at all")
    with pytest.raises(OSError, match="no whole, uncompressed tar file"):
        opened(tmp_path / "a.tar")
    with pytest.raises(FileNotFoundError, match=r"a shard of .* is not there: .*b\.tar"):
        opened(f"{tmp_path}/{{a,b,c}}.tar")
    tar(tmp_path / "train-0.tar", x__jpg=JPEG)
    tar(tmp_path / "a.tar", x__jpg=JPEG)
    with pytest.raises(ValueError, match=r"several names: 1 like a\.tar, 1 like train-0\.tar"):
        opened(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "header", "joined"])
def test_a_damaged_shard_is_refused(tmp_path, damage):
    """Python's reader would stop in silence, and lose what follows."""
    path = tar(tmp_path / "a.tar", x__jpg=JPEG, y__jpg=JPEG, x__cls=b"1", y__cls=b"2")
    whole, second = path.read_bytes(), 512 + -(-len(JPEG) // 512) * 512
    assert whole[second : second + 5] == b"y.jpg"
    spoilt = {
        "cut": whole[:second],
        "header": whole[:second] + b"\xff" * 512 + whole[second + 512 :],
        "joined": whole + whole,
    }
    path.write_bytes(spoilt[damage])
    with pytest.raises(OSError, match="damaged, cut short, or several archives in one"):
        opened(path)


def test_links_and_contradictions_in_shards_are_refused(tmp_path):
    path = tar(tmp_path / "a.tar", x__jpg=JPEG, x__cls=b"3", x__json=b'{"label": 4}')
    with pytest.raises(ValueError, match=r"x\.json says '4', another file '3'"):
        opened(path)
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("y.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "x.jpg"
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"y\.jpg is a link; pack its contents"):
        opened(path)
    for name in ("a", "b"):
        tar(tmp_path / f"v-{name}.tar", x__jpg=JPEG, x__cls=b"3")
    with pytest.raises(ValueError, match=r"v-b\.tar and .*v-a\.tar hold the same pictures"):
        opened(f"{tmp_path}/v-{{a,b}}.tar")


@pytest.mark.parametrize("kept", ['{"pictures": null}', '{"pictures": [["x.jpg", 0, 10e9, 1]]}'])
def test_a_spoilt_index_is_made_anew(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    path = tar(tmp_path / "a.tar", x__jpg=JPEG, x__cls=b"281")
    opened(path)
    [place] = (tmp_path / "cache" / "shards").iterdir()
    place.write_text(json.dumps({**json.loads(place.read_text()), **json.loads(kept)}))
    assert opened(path)[0].label == 281


def test_hidden_files_and_other_parts_of_a_key_are_no_pictures(tmp_path):
    members = {"x.jpg": JPEG, "x.seg.png": JPEG, "._x.jpg": JPEG, "x.cls": b"281"}
    path = tar(tmp_path / "a.tar", **members)
    with pytest.warns(UserWarning, match=r"left out: 1 \.seg\.png"):
        assert len(opened(path)) == 1


def test_a_shard_is_indexed_once_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    path = tar(tmp_path / "a.tar", x__jpg=JPEG, x__cls=b"281")
    assert opened(path)[0].label == 281
    with monkeypatch.context() as patch:
        patch.setattr("tarfile.open", lambda *_, **__: pytest.fail("read again"))
        again = opened(path)
    assert again[0].label == 281
    tar(path, x__jpg=JPEG, x__cls=b"282")
    assert opened(path)[0].label == 282
    assert again.identity != opened(path).identity
    path.write_bytes(path.read_bytes()[: len(JPEG) // 2])
    with pytest.raises(images.BrokenImageError, match="was changed since it was indexed"):
        again[0]


def test_data_sets_that_are_refused(tmp_path):
    datasets = pytest.importorskip("datasets")
    with pytest.raises(OSError, match="cannot open the data set no/such"):
        opened("hf:no/such")
    rows = {"image": [{"bytes": JPEG, "path": None}] * 2, "label": [0, -1]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    one = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"a": one, "b": one}).save_to_disk(tmp_path / "splits")
    with pytest.raises(ValueError, match="holds the splits a, b; choose one, such as"):
        opened(tmp_path / "splits")
    with pytest.raises(ValueError, match=r"unknown split 'c' of"):
        opened(f"hf:{tmp_path / 'splits'}:c")
    with pytest.raises(ValueError, match="1 of 2 pictures in .* have no label"):
        opened(f"hf:{tmp_path / 'splits'}:a")
    one.remove_columns("image").save_to_disk(tmp_path / "bare")
    with pytest.raises(ValueError, match="has no column of pictures"):
        opened(tmp_path / "bare")
