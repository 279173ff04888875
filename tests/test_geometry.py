"""Geometry, by properties: conversions invert each other, windows are what a loop would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade_env import geometry

GRIDS = st.tuples(st.integers(1, 20), st.integers(1, 25))


def all_cells(grid: tuple[int, int]) -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).reshape(-1, 2)


@given(GRIDS)
def test_index_and_row_col_invert_each_other(grid: tuple[int, int]) -> None:
    index = torch.arange(grid[0] * grid[1])
    row_col = geometry.index_to_row_col(index, grid)
    assert torch.equal(row_col, all_cells(grid))
    assert torch.equal(geometry.row_col_to_index(row_col, grid), index)


@given(GRIDS)
def test_normalised_and_row_col_invert_each_other(grid: tuple[int, int]) -> None:
    cells = all_cells(grid)
    position = geometry.row_col_to_normalised(cells, grid)
    assert position.abs().max() <= 1
    assert torch.equal(geometry.normalised_to_row_col(position, grid), cells)


@given(GRIDS, st.sampled_from([8, 14, 16]))
def test_pixels_of_a_token_lead_back_to_it(grid: tuple[int, int], patch: int) -> None:
    cells = all_cells(grid)
    for inside in (cells * patch, cells * patch + patch - 1):
        assert torch.equal(geometry.pixel_to_row_col(inside, patch, grid), cells)
    centre = geometry.row_col_to_pixel(cells, patch)
    assert torch.equal(geometry.pixel_to_row_col(centre, patch, grid), cells)


def test_positions_outside_go_to_the_border() -> None:
    far = torch.tensor([[-50.0, 1000.0]])
    assert geometry.pixel_to_row_col(far, 16, (14, 14)).tolist() == [[0, 13]]
    assert geometry.normalised_to_row_col(far, (14, 14)).tolist() == [[0, 13]]


@given(GRIDS, st.integers(0, 3))
def test_fovea_windows_equal_a_loop(grid: tuple[int, int], reach: int) -> None:
    windows = geometry.fovea_windows(grid, 2 * reach + 1, torch.device("cpu"))
    for index, (row, col) in enumerate(all_cells(grid).tolist()):
        expected = torch.zeros(grid, dtype=torch.bool)
        expected[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1] = 1
        assert torch.equal(windows[index], expected)


@given(GRIDS, st.sampled_from([1, 2, 3]))
def test_patchify_inverts_and_keeps_places(grid: tuple[int, int], patch: int) -> None:
    size = (2, 3, grid[0] * patch, grid[1] * patch)
    images = torch.randint(0, 256, size, dtype=torch.uint8)
    tokens = geometry.patchify(images, patch)
    assert torch.equal(geometry.unpatchify(tokens, grid, patch), images)
    last = images[:, :, -patch:, -patch:].reshape(2, -1)
    assert torch.equal(tokens[:, -1], last)


def test_mask_to_pixels() -> None:
    mask = torch.tensor([[[True, False]]])
    assert geometry.to_pixels(mask, 2).tolist() == [[[True, True, False, False]] * 2]


def test_grid_refuses_part_patches() -> None:
    assert geometry.grid_of((224, 384), 16) == (14, 24)
    with pytest.raises(ValueError, match="multiple of the patch size 16; got 230×224"):
        geometry.grid_of((230, 224), 16)


def test_area_resizing_is_the_mean_over_each_token() -> None:
    maps = torch.rand(2, 28, 42)
    expected = maps.reshape(2, 14, 2, 14, 3).mean((2, 4))
    torch.testing.assert_close(geometry.resize_map(maps, (14, 14), "area"), expected)
    assert geometry.resize_map(maps, (28, 42)) is maps


@given(*[st.tuples(st.integers(1, 2000), st.integers(1, 2000))] * 2)
def test_a_frame_shows_the_whole_picture_in_its_middle(
    frame: tuple[int, int], size: tuple[int, int]
) -> None:
    ends = np.array([[0.0, 0.0], frame])
    shown = geometry.unpad(ends, np.array([frame] * 2, float), np.array([size] * 2, float))
    assert shown.sum(0) == pytest.approx(np.array(size))  # as much beside it at either end
    assert shown[0].max() == pytest.approx(0, abs=1e-6)  # it touches two edges
    assert (shown[0] <= 1e-6).all()
    same = geometry.unpad(ends, *[np.array([frame] * 2, float)] * 2)
    assert same.tolist() == ends.tolist()


def test_corners_of_a_box_are_its_shares() -> None:
    box = np.array([[2.0, 3.0, 12.0, 43.0]] * 3)  # left, top, right, bottom
    share = geometry.box_to_share(np.array([[3.0, 2.0], [43.0, 12.0], [13.0, 7.0]]), box)
    assert share.tolist() == [[0, 0], [1, 1], [0.25, 0.5]]
