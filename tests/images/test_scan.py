"""What counts as a picture of a folder, and what is said to be left out: links, outputs, names."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from saccade_env import evaluate, images, policies
from saccade_env.images import SAMPLE, Preprocess
from saccade_env.images.scan import scan

CAT, FISH = "n02123045", "n01443537"


def listed(root: Path) -> tuple[list[str], str]:
    listing = scan(root)
    return list(listing.paths), listing.left_out


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("place", ["loop", f"{CAT}/loop", f"{CAT}/deep/loop"])
@pytest.mark.parametrize("up", [0, 1])
def test_a_link_to_what_holds_it_ends(fill, tmp_path, place, up):
    root = fill(tmp_path / "above" / "root", f"{CAT}/a.jpg", f"{FISH}/a.jpg")
    fill(tmp_path / "above", "stranger.jpg", "beside/stranger.jpg")
    link(root / place, root.parent if up else root)
    ids, left_out = listed(root)
    assert ids == [f"{FISH}/a.jpg", f"{CAT}/a.jpg"]
    assert left_out == "1 link to a folder that holds the link or is counted"


def test_a_link_to_the_folder_itself_in_a_flat_one(fill, tmp_path):
    link(fill(tmp_path, "a.jpg", "b.jpg") / "loop", Path("."))
    link(tmp_path / "self.jpg", tmp_path / "self.jpg")
    with pytest.warns(UserWarning, match="left out: 1 link to a folder"):
        source = images.create(tmp_path)
    assert (len(source), source.labels) == (3, "none")  # the link to itself is a broken picture


def test_links_in_a_circle_end(fill, tmp_path):
    """Ten folders elsewhere, each with a link to every other one."""
    root, names = tmp_path / "root", [f"{i}" for i in range(10)]
    fill(tmp_path / "else", *(f"{name}/a.jpg" for name in names))
    for one in names:
        for other in names:
            link(tmp_path / "else" / one / f"to-{other}", tmp_path / "else" / other)
    link(root / CAT, tmp_path / "else" / "0")
    ids, _ = listed(root)
    assert len(ids) == 10


def test_links_to_other_places_are_followed(fill, tmp_path):
    fill(tmp_path / "else", "cats/a.jpg", "fish/deep/b.jpg", "c.jpg")
    link(tmp_path / "root" / CAT, tmp_path / "else" / "cats")
    link(tmp_path / "root" / FISH / "more", tmp_path / "else" / "fish")
    link(tmp_path / "root" / FISH / "c.jpg", tmp_path / "else" / "c.jpg")
    ids, left_out = listed(tmp_path / "root")
    assert (ids, left_out) == ([f"{FISH}/c.jpg", f"{FISH}/more/deep/b.jpg", f"{CAT}/a.jpg"], "")
    assert len(images.create(tmp_path / "root")[0].image) == 3


@pytest.mark.parametrize("name", ["a-link.jpg", "z-link.jpg"])
def test_a_file_counts_once_under_its_own_name(fill, tmp_path, name):
    fill(tmp_path, f"{CAT}/m.jpg", f"{CAT}/deep/n.jpg")
    link(tmp_path / CAT / name, tmp_path / CAT / "m.jpg")
    link(tmp_path / CAT / "a-folder", tmp_path / CAT / "deep")
    ids, left_out = listed(tmp_path)
    assert (ids, left_out) == (
        [f"{CAT}/deep/n.jpg", f"{CAT}/m.jpg"],
        "2 reached by a link once more",
    )


@pytest.mark.parametrize("linked", ["a-link.jpg", "folder"])
def test_one_file_in_two_classes_is_refused(fill, tmp_path, linked):
    fill(tmp_path, f"{CAT}/a.jpg", f"{FISH}/b.jpg")
    target = tmp_path / CAT / ("a.jpg" if linked.endswith("jpg") else "")
    link(tmp_path / FISH / linked, target)
    with pytest.raises(ValueError, match=rf"{FISH}.*{linked}.* and .*{CAT}.*a\.jpg are the same"):
        scan(tmp_path)


def test_hard_links_are_files_of_their_own(fill, tmp_path):
    fill(tmp_path, f"{CAT}/a.jpg", f"{FISH}/b.jpg")
    os.link(tmp_path / CAT / "a.jpg", tmp_path / FISH / "same.jpg")
    assert len(listed(tmp_path)[0]) == 3


def test_what_is_no_picture_here_is_counted_and_said(fill, tmp_path):
    fill(tmp_path, "a.jpg", "b.GIF", "c.jfif", "d.heic", "e.HEIC", "f.tar", "no-suffix", "g.txt")
    (tmp_path / ".hidden.heic").touch()
    ids, left_out = listed(tmp_path)
    assert ids == ["a.jpg", "b.GIF", "c.jfif"]
    assert left_out.startswith("2 .heic, ")
    assert sorted(left_out.split(", ")[1:]) == ["1 .tar", "1 without a suffix"]
    (tmp_path / "only").mkdir()
    (tmp_path / "d.heic").rename(tmp_path / "only" / "d.heic")
    with pytest.raises(FileNotFoundError, match=r"no picture in .*\.jpg.*left out: 1 \.heic"):
        scan(tmp_path / "only")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFO here")
def test_only_regular_files_are_pictures(fill, tmp_path):
    os.mkfifo(fill(tmp_path, "a.jpg") / "fifo.jpg")
    link(tmp_path / "device.jpg", Path("/dev/zero"))
    link(tmp_path / "nowhere.jpg", tmp_path / "nowhere")
    assert listed(tmp_path) == (["a.jpg", "nowhere.jpg"], "2 that is no regular file")


def test_a_folder_that_cannot_be_listed_is_named(fill, tmp_path, monkeypatch):
    fill(tmp_path, f"{CAT}/a.jpg", f"{FISH}/b.jpg", "lost+found/c.jpg")
    scandir = os.scandir

    def refuse(path: str):
        if os.path.basename(path) in (FISH, "lost+found"):  # the latter is nobody's class
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match=rf"{FISH} cannot be listed: Permission denied; make"):
        scan(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="names are text here")
def test_names_that_are_not_utf8(fill, tmp_path):
    folder = os.fsencode(tmp_path) + b"/"
    names = [b"\xff\xe9.jpg", b"a\xff.jpg", b"a\\xff.jpg", "é\n.jpg".encode()]
    try:
        for name in names:
            shutil.copy(SAMPLE / CAT / "chelsea.jpg", folder + name)
    except OSError:
        pytest.skip("this file system takes no such names")
    source = images.create(tmp_path, Preprocess((16, 16)))
    found = [picture.id for picture in source]
    assert found == [source.id(i) for i in range(4)]
    assert sorted(found) == sorted(["\\xff\\xe9.jpg", "a\\xff.jpg", "a\\\\xff.jpg", "é\n.jpg"])
    assert json.dumps(found, ensure_ascii=False).encode("utf-8")
    assert len(source.identity) == 64
    os.rename(folder + names[0], folder + b"broken\xff.heic")
    with pytest.warns(UserWarning, match=r"left out: 1 \.heic"):
        images.create(tmp_path)
    os.mkdir(folder + b"\xff")
    shutil.copy(SAMPLE / CAT / "chelsea.jpg", folder + b"\xff/a.jpg")
    with pytest.warns(UserWarning, match="is no ImageNet-1k"):
        source = images.create(tmp_path)
    assert (source.class_names, source.id(0)) == (["\\xff"], "\\xff/a.jpg")


@pytest.mark.slow
@pytest.mark.parametrize("out", ["results", "saccade-runs/mine", CAT, "."])
@pytest.mark.parametrize("flat", [True, False])
def test_what_a_run_writes_into_the_folder_is_no_picture_of_the_next(
    fill, tmp_path, linear, monkeypatch, out, flat
):
    fill(tmp_path, *(["a.jpg", "b.jpg"] if flat else [f"{CAT}/a.jpg", f"{FISH}/b.jpg"]))
    ids, left_out = listed(tmp_path)
    monkeypatch.chdir(tmp_path)
    for turn in range(2):  # the second time the run is found finished
        with pytest.warns(UserWarning, match="written by") if turn else contextlib.nullcontext():
            evaluate([policies.create("centre")], ".", linear, out=out, progress=False)
    assert list(tmp_path.glob("**/accuracy.png"))
    assert (listed(tmp_path)[0], left_out) == (ids, "")
    assert "written by saccade-env" in listed(tmp_path)[1]


def test_a_folder_with_a_manifest_of_somebody_else_counts(fill, tmp_path):
    fill(tmp_path, f"{CAT}/a.jpg")
    for manifest in ("[]", "{", '{"files": ["a.jpg"]}', '{"made_by": "saccade-env", "files": 3}'):
        (tmp_path / CAT / "manifest.json").write_text(manifest)
        assert listed(tmp_path) == ([f"{CAT}/a.jpg"], "")
