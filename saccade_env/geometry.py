"""Where things are: token ↔ pixel ↔ normalised coordinates, and fovea windows.

The only module that converts. Positions are (row, col), row 0 at the top, col 0 at the left;
a token index is row-major; normalised coordinates run from -1 (centre of the first row or
column) to 1 (centre of the last). All functions are batched: the leading axis is the batch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def grid_of(image_size: tuple[int, int], patch_size: int) -> Grid:
    """Token grid (rows, cols) of an image of (height, width) pixels.

    Raises:
        ValueError: The image is not a whole number of patches high and wide.
    """
    height, width = image_size
    if height % patch_size or width % patch_size or not height or not width:
        raise ValueError(
            f"image size must be a multiple of the patch size {patch_size}; got {height}×{width}"
        )
    return height // patch_size, width // patch_size


def index_to_row_col(index: Int[Tensor, " batch"], grid: Grid) -> Int[Tensor, "batch 2"]:
    """Row-major token indices to (row, col).

    >>> index_to_row_col(torch.tensor([91]), (14, 14))
    tensor([[6, 7]])
    """
    return torch.stack((index // grid[1], index % grid[1]), dim=-1)


def row_col_to_index(row_col: Int[Tensor, "batch 2"], grid: Grid) -> Int[Tensor, " batch"]:
    """(row, col) to row-major token indices."""
    return row_col[..., 0] * grid[1] + row_col[..., 1]


def normalised_to_row_col(position: Float[Tensor, "batch 2"], grid: Grid) -> Int[Tensor, "batch 2"]:
    """Normalised (row, col) in [-1, 1] to the nearest token; values outside are clipped.

    >>> normalised_to_row_col(torch.tensor([[-1.0, 0.5], [2.0, 0.0]]), (14, 15))
    tensor([[ 0, 10],
            [13,  7]])
    """
    last = torch.tensor(grid, dtype=position.dtype, device=position.device) - 1
    return ((position.clamp(-1, 1) + 1) / 2 * last).round().long()


def row_col_to_normalised(row_col: Int[Tensor, "batch 2"], grid: Grid) -> Float[Tensor, "batch 2"]:
    """(row, col) to normalised (row, col) in [-1, 1]; a single row or column is 0."""
    last = torch.tensor(grid, dtype=torch.float32, device=row_col.device) - 1
    return torch.where(last > 0, row_col / last.clamp(min=1) * 2 - 1, torch.zeros_like(last))


def pixel_to_row_col(
    pixel: Shaped[Tensor, "batch 2"], patch_size: int, grid: Grid
) -> Int[Tensor, "batch 2"]:
    """Pixel (row, col) to the token that holds it; pixels outside go to the border token."""
    token = torch.div(pixel, patch_size, rounding_mode="floor").long()
    return torch.minimum(token.clamp(min=0), torch.tensor(grid, device=pixel.device) - 1)


def row_col_to_pixel(row_col: Int[Tensor, "batch 2"], patch_size: int) -> Float[Tensor, "batch 2"]:
    """(row, col) to the pixel coordinates of the token's centre."""
    return (row_col.float() + 0.5) * patch_size


def pixel_to_position(
    pixel: Float[np.ndarray, "positions 2"], patch_size: int
) -> Float[np.ndarray, "positions 2"]:
    """(row, col) of pixels in tokens, not rounded: the centre of token (r, c) is at (r, c)."""
    return pixel / patch_size - 0.5


def share_to_position(
    share: Float[np.ndarray, "positions 2"], grid: Grid
) -> Float[np.ndarray, "positions 2"]:
    """(row, col) as shares of height and width, 0 to 1, in tokens, not rounded."""
    position: np.ndarray = share * np.array(grid) - 0.5
    return position


def box_to_share(
    pixel: Float[np.ndarray, "positions 2"], box: Float[np.ndarray, "positions 4"]
) -> Float[np.ndarray, "positions 2"]:
    """(row, col) of pixels as shares of a box each, (left, top, right, bottom) in pixels."""
    corner, end = box[:, 1::-1], box[:, 3:1:-1]
    share: np.ndarray = (pixel - corner) / (end - corner)
    return share


def unpad(
    pixel: Float[np.ndarray, "positions 2"],
    frame: Float[np.ndarray, "positions 2"],
    size: Float[np.ndarray, "positions 2"],
) -> Float[np.ndarray, "positions 2"]:
    """(row, col) of pixels of a picture, of which a frame shows the whole.

    Args:
        pixel: (row, col) in pixels of the frame.
        frame: (height, width) of the frame, such as a screen. The picture is shown as large as
            fits in it, aspect kept, in the middle. A frame of the picture's size changes nothing.
        size: (height, width) of the picture.
    """
    scale = (frame / size).min(axis=1, keepdims=True)
    shown: np.ndarray = (pixel - (frame - scale * size) / 2) / scale
    return shown


@lru_cache(maxsize=32)
def fovea_windows(grid: Grid, fovea: int, device: torch.device) -> Bool[Tensor, "tokens rows cols"]:
    """Tokens a fovea reveals, for every possible fixation; windows are clipped at the border.

    Args:
        grid: (rows, cols).
        fovea: Side of the square fovea in tokens, odd.
        device: Where the table lives.

    >>> windows = fovea_windows((14, 14), 3, torch.device("cpu"))
    >>> windows[0].sum(), windows[91].sum()  # in the corner, and near the centre
    (tensor(4), tensor(9))
    """
    reach = fovea // 2
    row = torch.arange(grid[0], device=device)
    col = torch.arange(grid[1], device=device)
    near_row = (row[:, None] - row).abs() <= reach
    near_col = (col[:, None] - col).abs() <= reach
    table = near_row[:, None, :, None] & near_col[None, :, None, :]
    return table.reshape(grid[0] * grid[1], *grid)


def patchify(
    images: Shaped[Tensor, "batch channels height width"], patch_size: int
) -> Shaped[Tensor, "batch tokens pixels"]:
    """Cut images into row-major tokens of channels·p·p values (channel, row, col order)."""
    batch, channels, height, width = images.shape
    rows, cols = grid_of((height, width), patch_size)
    cells = images.reshape(batch, channels, rows, patch_size, cols, patch_size)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * cols, -1)


def unpatchify(
    tokens: Shaped[Tensor, "batch tokens pixels"], grid: Grid, patch_size: int
) -> Shaped[Tensor, "batch channels height width"]:
    """Inverse of :func:`patchify`."""
    rows, cols = grid
    cells = tokens.reshape(tokens.shape[0], rows, cols, -1, patch_size, patch_size)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(
        tokens.shape[0], -1, rows * patch_size, cols * patch_size
    )


def to_pixels(
    mask: Bool[Tensor, "batch rows cols"], patch_size: int
) -> Bool[Tensor, "batch height width"]:
    """Token mask to pixel mask."""
    return mask.repeat_interleave(patch_size, -2).repeat_interleave(patch_size, -1)


def resize_map(
    maps: Float[Tensor, "batch rows_in cols_in"], grid: Grid, mode: str = "bilinear"
) -> Float[Tensor, "batch rows cols"]:
    """Bring saliency maps to the token grid.

    Args:
        maps: Any resolution.
        grid: (rows, cols) wanted.
        mode: ``"bilinear"`` (the paper, for maps of another grid) or ``"area"`` (the mean over
            each token, for maps in pixels).
    """
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    align = None if mode == "area" else False
    return F.interpolate(maps[:, None], size=grid, mode=mode, align_corners=align)[:, 0]
