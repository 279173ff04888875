"""Fixations of people: reading them, and the command that compares policies with them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from people import COLUMNS, cells, looks, points
from typer.testing import CliRunner

from saccade_env import cli, geometry, images
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.human import compare, read_fixations

HEADER = ",".join(COLUMNS)
UNUSED: Any = None  # a policy that is never asked
SIZE = {"image_size": (96, 128), "patch_size": 16}


def write(path: Path, *lines: str) -> Path:
    file = path / "fixations.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_token_coordinates_are_taken_as_they_are(tmp_path: Path) -> None:
    file = write(
        tmp_path, "col,image,note,subject,order,row", "2.5, b ,x,s,1,1", "", "7,a,y,s,10,0",
        "0,a,z,s,9,5.25",
    )  # fmt: skip
    found = read_fixations(file, **SIZE)
    assert [*found] == COLUMNS
    assert found["image"].tolist() == ["a", "a", "b"]
    assert found[["order", "row", "col"]].to_numpy().tolist() == [
        [9, 5.25, 0],
        [10, 0, 7],
        [1, 1, 2.5],
    ]
    assert found.attrs["outside"] == 0
    pd.testing.assert_frame_equal(found, read_fixations(file))


@pytest.mark.parametrize("keyword", [{}, {"unit": "pixel"}])
def test_pixels_become_tokens(tmp_path: Path, keyword: dict[str, str]) -> None:
    file = write(tmp_path, "image,subject,order,x,y", "a,s,1,8,8", "a,s,2,128,0", "a,s,3,64,40")
    found = read_fixations(file, **SIZE, **keyword)
    assert found[["row", "col"]].to_numpy().tolist() == [[0, 0], [-0.5, 7.5], [2, 3.5]]


def test_relative_positions_become_tokens(tmp_path: Path) -> None:
    file = write(tmp_path, "image,subject,order,x,y", "a,s,1,0,1", "a,s,2,0.5,0.5")
    found = read_fixations(file, unit="relative", **SIZE)
    assert found[["row", "col"]].to_numpy().tolist() == [[5.5, -0.5], [2.5, 3.5]]


@given(cells)
def test_a_tokens_centre_in_pixels_is_that_token(
    tmp_path_factory: pytest.TempPathFactory, cell: tuple[int, int]
) -> None:
    y, x = geometry.row_col_to_pixel(torch.tensor([cell]), 16)[0].tolist()
    file = write(tmp_path_factory.mktemp("pixels"), "image,subject,order,x,y", f"a,s,1,{x},{y}")
    assert read_fixations(file, **SIZE)[["row", "col"]].to_numpy().tolist() == [[*cell]]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("st"), points), min_size=1),
    st.randoms(),
)
@pytest.mark.slow
def test_the_order_of_lines_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    given_looks: list[tuple[str, str, tuple[float, float]]],
    random: Random,
) -> None:
    lines = [
        f"{image},{subject},{order},{row},{col}"
        for order, (image, subject, (row, col)) in enumerate(given_looks)
    ]
    folder = tmp_path_factory.mktemp("lines")
    found = read_fixations(write(folder, HEADER, *lines), **SIZE)
    random.shuffle(lines)
    pd.testing.assert_frame_equal(found, read_fixations(write(folder, HEADER, *lines), **SIZE))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,order,row"], r"missing column subject, col \(needed: .*found: image, order, row"),
        (["image;subject;order;x;y"], "missing column image, .*found: image;subject;order;x;y"),
        (["image,subject,order,x"], "missing column row, col .*row and col, or x and y"),
        ([HEADER], "has a header but no fixations"),
        ([""], "is empty"),
        ([HEADER + ",row"], "a column comes twice"),
        ([HEADER, "a,s,1,0,0", "", "a,s,2,left,0"], "line 4: row must be .*got 'left' .1 such"),
        ([HEADER, "a,s,1,0,nan", "a,s,2,0,nan"], "line 2: col must be .*got 'nan' .2 such"),
        ([HEADER, "a,s,1,0,inf"], "line 2: col must be a finite number; got 'inf'"),
        (["", HEADER, "a,s,,0,0"], "line 3: order must be a finite number; got ''"),
        ([HEADER, "a,,1,0,0"], "line 2: subject is empty"),
        ([HEADER, "a,s,1,0"], "line 2: 4 values for 5 columns"),
        ([HEADER, "a,s,1,0,0,7"], "line 2: 6 values for 5 columns"),
        ([HEADER, '"a"b,s,1,0,0'], "line 2: this is no CSV file in UTF-8"),
        ([HEADER, "a,s,1,0,0", "a,s,1.0,1,0"], "line 3: image 'a', subject 's', order 1 comes a"),
        ([HEADER, "a,s,1,0,0", "a,s,2,5.6,0"], "1 of 2 .* outside .*line 3: row 5.6, col 0"),
        ([HEADER, "a,s,1,-1,0"], "1 of 1 fixations are outside the image"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_fixations(write(tmp_path, *lines), **SIZE)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"unit": "metre"}, "unit must be one of token, pixel, relative, original; got 'metre'"),
        ({"unit": "pixel"}, "need image_size and patch_size"),
        ({"unit": "relative"}, "need image_size and patch_size"),
        ({"image_size": (96, 128)}, "go together; got .96, 128. and None"),
        ({"image_size": (96, 128), "patch_size": 10}, "multiple of the patch size"),
        ({"outside": "clip"}, "outside must be one of raise, drop, keep; got 'clip'"),
    ],
)
def test_contradicting_options_are_refused(
    tmp_path: Path, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_fixations(write(tmp_path, HEADER, "a,s,1,0,0"), **keywords)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes(f"{HEADER}\nk\xe4se,s,1,0,0\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.csv, line 2: .* no CSV file in UTF-8"):
        read_fixations(file)
    with pytest.raises(IsADirectoryError, match=f"cannot read fixations from {tmp_path}"):
        read_fixations(tmp_path)


def test_fixations_outside_are_dropped_and_counted(tmp_path: Path) -> None:
    file = write(
        tmp_path, "image,subject,order,x,y", "a,s,1,8,8", "a,s,2,128.1,8", "b,s,1,-3,8", "a,s,3,9,9"
    )
    with pytest.warns(UserWarning, match=r"2 of 4 .*first in line 3: y 8, x 128.1; dropped"):
        found = read_fixations(file, outside="drop", **SIZE)
    assert found["order"].tolist() == [1, 3]
    assert found.attrs["outside"] == 2
    with pytest.raises(ValueError, match="1 of 1 fixations are outside"):
        read_fixations(write(tmp_path, HEADER, "a,s,1,-1,0"), outside="drop")


def test_shares_are_not_taken_for_pixels(tmp_path: Path) -> None:
    file = write(tmp_path, "image,subject,order,x,y", "a,s,1,0.5,0.25", "a,s,2,1,0")
    with pytest.raises(ValueError, match="x and y are all 0 to 1; say whether they are relative"):
        read_fixations(file, **SIZE)
    assert len(read_fixations(file, unit="pixel", **SIZE)) == 2


@pytest.mark.filterwarnings("ignore:people looked at 3 of these images", "ignore:.*; kept")
def test_policies_are_compared_on_the_pictures_looked_at(tmp_path: Path) -> None:
    source = images.create("sample")
    path = tmp_path / "fixations.csv"
    generator = np.random.default_rng(0)
    lines = ["image,subject,order,x,y"]
    for i, subject, order in itertools.product(range(3), "ab", range(4)):
        x, y = generator.normal(112, 25, 2)
        lines.append(f"{source.id(i)},{subject},{order},{x:.1f},{y:.1f}")
    lines.append(f"{source.id(0)},a,9,-5,112")  # beside the picture
    path.write_text("\n".join(lines))
    arguments = ["human", str(path), "--images", "sample", "--classifier", "efficientnet_lite0",
                 "--policy", "centre", "--policy", "random", "--saccades", "3",
                 "--outside", "keep", "--out", str(tmp_path)]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    assert "25 on 3 images by 2 subjects; 1 outside the image kept" in done.output
    maps = pd.read_csv(tmp_path / "maps.csv").set_index(["policy", "metric"])
    assert maps.loc[("centre", "nss"), "low"] > maps.loc[("random", "nss"), "high"]
    paths = pd.read_csv(tmp_path / "scanpaths.csv")
    assert set(paths["policy"]) == {"centre", "random", "human", "shuffled"}
    path.write_text("image,subject,order,x,y\nnowhere.jpg,a,0,3,3\n")
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "nowhere.jpg" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--first", "0"], "greater than or equal to 1"),
        (["--sigma", "nan"], "nan is no positive number of tokens"),
        (["--unit", "metre"], "Invalid value for '--unit'"),
        (["--outside", "clip"], "Invalid value for '--outside'"),
        (["--out", "a-file"], "cannot write a-file/maps.csv"),
        (["--out", "taken"], "cannot write taken/scanpaths.csv: it is a folder"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("saccade_env.task.open_pair", None)
    monkeypatch.setenv("COLUMNS", "200")
    file = write(tmp_path, HEADER, "a,s,1,0,0")
    (tmp_path / "a-file").touch()
    (tmp_path / "taken" / "scanpaths.csv").mkdir(parents=True)
    done = CliRunner().invoke(cli.app, ["human", str(file), *options])
    assert done.exit_code != 0
    assert message in done.output


def test_what_cannot_be_compared_is_refused_before_computing(linear: Any) -> None:
    source, looked = images.create("sample"), looks(a_s=[(0, 0)])
    mine = looked.assign(image=source.id(0))
    for fixations, keywords, message in (
        (looked, {}, "no image has both images and fixations"),
        (mine, {"first": 0}, "first must be a positive number of fixations; got 0"),
        (mine, {"sigma": math.nan}, "sigma must be a positive number of tokens; got nan"),
        (mine, {"config": SaccadeConfig((99, 99), 15)}, "fovea must be odd and ≤ 14; got 15"),
        (mine.assign(row=14), {}, "1 of 1 fixations are not on the grid of 14×14 tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            compare({"a": UNUSED}, source, linear, fixations, **keywords)
    with pytest.raises(ValueError, match="no policy may be called 'human'"):
        compare({"human": UNUSED}, source, linear, mine)
