"""The pictures that are shipped: what they are, and that each has its licence on record."""

from __future__ import annotations

import pytest
from PIL import Image

from saccade_env import images
from saccade_env.images import SAMPLE, decode

FILES = sorted(path.relative_to(SAMPLE).as_posix() for path in SAMPLE.glob("*/*"))
NAMES = {
    "chelsea": "tabby",
    "grace_hopper": "military uniform",
    "rocket": "missile",
    "summer_palace": "palace",
    "camera": "tripod",
    "clock": "wall clock",
    "coffee": "espresso",
}


def test_every_picture_loads_under_its_label():
    source = images.create("sample")
    assert [source.id(i) for i in range(len(source))] == FILES
    for picture in source:
        stem = picture.id.split("/")[1].removesuffix(".jpg")
        assert source.class_names[picture.label] == NAMES[stem]
        assert picture.image.float().std() > 10


@pytest.mark.parametrize("file", FILES)
def test_files_are_small(file):
    with Image.open(SAMPLE / file) as image:
        assert image.format == "JPEG"
    assert min(decode(SAMPLE / file).size) <= 384
    assert (SAMPLE / file).stat().st_size < 100_000


@pytest.mark.parametrize("file", FILES)
def test_every_picture_has_its_licence_on_record(file):
    record = (SAMPLE / "LICENSES.md").read_text(encoding="utf-8")
    _, heading, rest = record.partition(f"## {file}\n")
    assert heading, f"LICENSES.md has no section for {file}"
    section = rest.partition("\n## ")[0]
    for field in ("Shows", "Label", "Author", "Source", "Licence", "Changes"):
        assert f"- {field}: " in section


def test_no_record_without_a_picture():
    record = (SAMPLE / "LICENSES.md").read_text(encoding="utf-8")
    sections = [line[3:] for line in record.splitlines() if line.startswith("## ")]
    assert sorted(sections) == FILES
