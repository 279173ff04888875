"""Policies that look at nothing: random and centre."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from saccade_env.geometry import row_col_to_normalised
from saccade_env.policies.base import SaliencyPolicy


class RandomPolicy(SaliencyPolicy):
    """The saccade procedure on a map of uniform noise (the paper's random policy).

    The noise of an image depends on its pixels and the seed alone: the same seed gives the same
    scanpath whatever the batch, its size or its order.

    Args:
        seed: At least 0.
        **keywords: ``grid`` and ``device``.

    Raises:
        ValueError: The seed is negative.
    """

    name = "random"
    sees_full_image = False

    def __init__(self, seed: int = 0, **keywords: Any) -> None:
        super().__init__(**keywords)
        if not 0 <= seed < 1 << 63:
            raise ValueError(f"seed must be 0 or more, and below 2⁶³; got {seed}")
        self.seed = seed

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        cells = torch.arange(self.grid[0] * self.grid[1], device=images.device)
        keys = _mix(_checksum(images) ^ _mix(torch.tensor(self.seed, device=images.device)))
        noise = _mix(keys[:, None] + cells * _GOLDEN)
        return (noise & 0xFFFFFF).float().div(1 << 24).reshape(-1, *self.grid)


class CentrePolicy(SaliencyPolicy):
    """Looks at the centre first, then ever farther from it."""

    name = "centre"
    sees_full_image = False

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        rows, cols = self.grid
        cells = torch.cartesian_prod(torch.arange(rows), torch.arange(cols))
        distance = row_col_to_normalised(cells, self.grid).norm(dim=-1).reshape(rows, cols)
        return -distance.to(images.device).expand(len(images), rows, cols)


# SplitMix64 (Steele, Lea & Flood 2014): a counter-based generator needs no state, so that every
# row of a batch has its own stream without a loop. int64 arithmetic wraps around.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def _mix(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    x = x + _GOLDEN
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; that of int64 is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _checksum(images: Shaped[Tensor, "batch *shape"]) -> Int[Tensor, " batch"]:
    pixels = images.flatten(1).long()
    weights = _mix(torch.arange(pixels.shape[1], device=pixels.device))
    return (pixels * weights).sum(-1)
