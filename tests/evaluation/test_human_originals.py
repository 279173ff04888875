"""Fixations in pixels of the original files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from recordings import (
    BLINKS,
    GRID,
    PATCH,
    SCREEN,
    SIZE,
    Looks,
    as_csv,
    inside_the_crop,
    pictures,
    read,
)

from saccade_env import images
from saccade_env.evaluation.human import compare_scanpaths
from saccade_env.evaluation.human.originals import match
from saccade_env.images import Collection, Preprocess
from saccade_env.images.derived import Subset

sides = st.integers(40, 130)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return pictures(tmp_path_factory.mktemp("pictures"))


def painted(size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    """Black, with a white square of 8×8 pixels whose upper left corner is given."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[corner[0] : corner[0] + 8, corner[1] : corner[1] + 8] = 255
    return Image.fromarray(pixels)


def centroid(pixels: np.ndarray) -> np.ndarray:
    """(row, col) of what is bright, in pixels; 0 is the outer edge of the first."""
    places = np.indices(pixels.shape) + 0.5
    return (places * pixels).sum((1, 2)) / pixels.sum()


@settings(max_examples=25, deadline=None)
@given(st.tuples(sides, sides), st.sampled_from(["crop", "squash"]), st.booleans(), st.data())
def test_a_fixation_is_on_the_token_where_what_was_looked_at_is_seen(
    tmp_path_factory: pytest.TempPathFactory,
    size: tuple[int, int],
    mode: Any,
    screened: bool,
    data: st.DataObject,
) -> None:
    folder, preprocess = tmp_path_factory.mktemp("painted"), Preprocess(SIZE, mode=mode)
    corner = [data.draw(st.integers(math.ceil(s * 0.42), int(s * 0.58) - 4)) - 2 for s in size]
    picture = painted(size, (corner[0], corner[1]))
    picture.save(folder / "a.png")
    y, x = corner[0] + 4, corner[1] + 4
    if screened:
        scale = min(SCREEN[0] / size[0], SCREEN[1] / size[1])
        shown = picture.resize((round(size[1] * scale), round(size[0] * scale)))
        screen = Image.new("RGB", SCREEN[::-1])
        screen.paste(shown, ((SCREEN[1] - shown.width) // 2, (SCREEN[0] - shown.height) // 2))
        y, x = centroid(np.asarray(screen, float)[..., 0])
    file = as_csv(folder / "fixations.csv", {("a.png", "1"): [(float(y), float(x))]})
    source = images.create(folder, preprocess)
    found = read(file, source, unit="original", screen=SCREEN if screened else None)
    seen = centroid(source[0].image[0].double().numpy()) / PATCH - 0.5
    tolerance = 1.5 / PATCH if screened else 0.3 / PATCH  # a screen has whole pixels
    np.testing.assert_allclose(found[["row", "col"]].to_numpy()[0], seen, atol=tolerance)


def test_what_the_crop_cuts_off_is_told_from_what_is_nowhere(
    tmp_path: Path, source: Collection
) -> None:
    name = "n02123045/000000000001.png"  # 60×90: of 36×54, 32×48 are kept
    looks: Looks = {(name, "1"): [(30, 45), (1, 45), (30, 89), (30, 91), (0, 0), (60, 90)]}
    file = as_csv(tmp_path / "a.csv", looks)
    with pytest.raises(ValueError, match="5 of 6 .*4 of them on what the crop cuts off.*“drop”"):
        read(file, source, unit="original")
    with pytest.warns(UserWarning, match="in line 3: y 1, x 45; dropped"):
        dropped = read(file, source, unit="original", outside="drop")
    assert (dropped.attrs["outside"], dropped.attrs["cropped"], len(dropped)) == (5, 4, 1)
    with pytest.warns(UserWarning, match="kept"):
        kept = read(file, source, unit="original", outside="keep")
    assert kept[["row", "col"]].to_numpy()[[0, 4]].tolist() == [[1.5, 2.5], [-0.75, -0.875]]
    whole = images.create(source.root, Preprocess(SIZE, mode="squash"))
    looks[name, "1"].pop(3)
    found = read(as_csv(tmp_path / "b.csv", looks), whole, unit="original")
    assert found[["row", "col"]].to_numpy()[-2:].tolist() == [[-0.5, -0.5], [3.5, 5.5]]


def test_fixations_kept_outside_count_for_scanpaths_alone() -> None:
    rows = [("a", "1", 0, 0.0, 0.0), ("a", "1", 1, -3.0, 0.0), ("a", "2", 0, 1.0, 1.0)]
    looked = pd.DataFrame(rows, columns=["image", "subject", "order", "row", "col"])
    records = looked.iloc[:1].rename(columns={"subject": "policy", "order": "saccade"})
    with pytest.raises(ValueError, match="1 of 3 fixations are not on the grid"):
        compare_scanpaths(records, looked, GRID)
    found = compare_scanpaths(records, looked, GRID, outside="keep").mean
    assert found["value"].iloc[0] == pytest.approx(
        (0.5 + 1 - math.sqrt(2) / (math.hypot(*GRID) / 4)) / 2
    )


def test_the_imposed_fixation_may_be_skipped(tmp_path: Path, source: Collection) -> None:
    with pytest.warns(UserWarning, match="1 fixations without"):
        found = read(
            as_csv(tmp_path / "a.csv", BLINKS),
            source,
            unit="original",
            skip_first=1,
            missing="drop",
        )
    assert found["order"].tolist() == [2]
    assert (found.attrs["skipped"], found.attrs["missing"]) == (1, 1)


@pytest.mark.parametrize(
    ("names", "ids", "expected"),
    [
        ("a.jpg", "a.jpg b/a.jpg", {"a.jpg": "a.jpg"}),
        ("a.jpg", "b/a.jpg", {"a.jpg": "b/a.jpg"}),
        ("x/b/1 x/c/1", "c/1 b/1", {"x/b/1": "b/1", "x/c/1": "c/1"}),
        ("x/b/a.jpg x/c/a.jpg", "c/a.jpg", {"x/c/a.jpg": "c/a.jpg"}),
        ("a", "b/a.jpg", {"a": "b/a.jpg"}),
        ("a.jpg z.jpg", "b/a.jpg", {"a.jpg": "b/a.jpg"}),
        ("z", "a.jpg", {}),
        ("a.jpg", "b/a.jpg c/a.jpg", "on 'a.jpg', and among the images are 'b/a.jpg', 'c/a.jpg'"),
        ("b/a.jpg c/a.jpg", "a.jpg", "on 'b/a.jpg', 'c/a.jpg', and among the images are 'a.jpg'"),
    ],
)  # fmt: skip
def test_images_are_found_by_the_ends_of_their_names(
    names: str, ids: str, expected: dict[str, str] | str
) -> None:
    if isinstance(expected, dict):
        assert match(names.split(), ids.split()) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            match(names.split(), ids.split())


def test_originals_need_a_source_that_knows_sizes(tmp_path: Path, source: Collection) -> None:
    looks = inside_the_crop()
    file = as_csv(tmp_path / "a.csv", looks)

    bare = Subset(images.create(source.root, name="bare"), [0])
    with pytest.raises(ValueError, match="know the size .*; 'bare' has no original_size"):
        read(file, bare, unit="original")
    with pytest.raises(ValueError, match="pixels of the original files need source"):
        read(file, None, unit="original", image_size=SIZE)
    with pytest.raises(ValueError, match="positions on a screen have unit 'original'; got 'pixel'"):
        read(file, source, unit="pixel", screen=SCREEN)
    with pytest.raises(ValueError, match="only COCO's JSON has tasks"):
        read(file, source, task="cup")
    with pytest.raises(ValueError, match=r"screen must be \(height, width\) in pixels; got \(0, 5"):
        read(file, source, screen=(0, 5))
    with pytest.raises(ValueError, match="skip_first must be a number of fixations from 0; got -1"):
        read(file, source, skip_first=-1)
    with pytest.raises(ValueError, match="no fixations are left of 21"):
        read(file, source, unit="original", skip_first=9)
    with pytest.raises(ValueError, match="if x and y are in pixels of the files, say so"):
        read(as_csv(tmp_path / "b.csv", {("000000000001.png", "1"): [(59, 89)]}), source)
    other = {**looks, ("nowhere.jpg", "1"): [(1.0, 2.0)]}
    with pytest.warns(UserWarning, match="1 fixations on 1 images that .*, such as 'nowhere.jpg'"):
        found = read(as_csv(tmp_path / "c.csv", other), source, unit="original")
    assert (found.attrs["unknown"], len(found)) == (1, 21)
