"""Weights, pictures and foveas drawn from a seed: full-size networks without their files.

A tensor is drawn by its name, so whoever knows the names and shapes of a state dict has the same
network. Streams of NumPy's legacy ``RandomState`` are frozen by its compatibility policy. The
files in ``goldens/`` hold what the original networks compute from these: no number may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Bool, Shaped, UInt8
from torch import Tensor

_BLOCK = 8  # pixels a side of one colour
_FOVEA = 3  # tokens a side


def state_dict(like: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Seeded weights for a network.

    Args:
        like: Its state dict, of which only names and shapes matter: its tensors may be on the
            meta device.
        prefix: Put before each name for drawing.
    """
    return {name: tensor(prefix + name, tuple(wanted.shape)) for name, wanted in like.items()}


def tensor(name: str, shape: tuple[int, ...]) -> Shaped[Tensor, "..."]:
    """A tensor of a state dict: float32, int64 zeros where batches are counted.

    Args:
        name: Its key, which seeds it and tells what it is for.
        shape: Its shape.
    """
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    stream = np.random.RandomState(crc32(name.encode()))
    noise = stream.standard_normal(shape).astype(np.float32)
    return torch.from_numpy(np.asarray(_scaled(name, noise), np.float32))


def _scaled(name: str, noise: np.ndarray) -> np.ndarray:
    """Noise as large as keeps a deep network alive, in the place that the name tells."""
    if "gaussians" in name:  # UNISAL's priors: (row, col) × (mean, log of the deviation)
        centre, spread = np.array([[0.5, -1], [0.15, 0.2]], np.float32)
        return centre + spread * noise
    if name.startswith("smoothing"):  # a blur: positive, of sum 1
        return (weights := np.abs(noise)) / weights.sum()
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(noise)
    if noise.ndim < 2 or name.endswith("bias"):  # what scales is near 1, what shifts near 0
        return int(name.endswith("weight")) + 0.1 * noise
    if "embed" in name or "token" in name:
        return 0.5 * noise
    return noise * float(1.5 / np.prod(noise.shape[1:]) ** 0.5)


def picture(height: int, width: int) -> UInt8[Tensor, "3 {height} {width}"]:
    """A picture of coloured blocks, each brighter to the bottom right; its size is its seed.

    Args:
        height: In pixels, a multiple of 8.
        width: Likewise.
    """
    stream = np.random.RandomState(height + width)
    colours = stream.randint(0, 160, (3, height // _BLOCK, width // _BLOCK))
    blocks = colours.repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)
    down, across = np.arange(height) * 48 // height, np.arange(width) * 47 // width
    return torch.from_numpy((blocks + np.add.outer(down, across)).astype(np.uint8))


def revealed(rows: int, cols: int, windows: int = 4) -> Bool[Tensor, "{rows} {cols}"]:
    """What some fixations reveal with a 3×3 fovea, clipped at the borders.

    Args:
        rows: Of the token grid.
        cols: Likewise.
        windows: How many fixations.
    """
    stream, seen = np.random.RandomState(1000), torch.zeros(rows, cols, dtype=torch.bool)
    places = [stream.randint(0, side, windows) for side in (rows, cols)]
    for row, col in zip(*places, strict=True):
        top, left = row - _FOVEA // 2, col - _FOVEA // 2
        seen[max(top, 0) : top + _FOVEA, max(left, 0) : left + _FOVEA] = True
    return seen
