"""Policies that follow a saliency map: map → inhibition of return → argmax.

A map is ``[B, rows, cols]`` on the token grid, computed once per image; every saccade of the
episode is chosen from it (paper, section on the attention map).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from saccade_env.core import Policy, View, open_cells

__all__ = ["Policy", "SaliencyPolicy", "View"]


class SaliencyPolicy(ABC):
    """A policy that fixates the highest value of a static map that is not inhibited.

    Args:
        grid: Token grid (rows, cols) of the classifier.
        device: Where the maps are computed.
    """

    name: str
    sees_full_image: bool = True

    def __init__(
        self, grid: tuple[int, int] = (14, 14), device: str | torch.device = "cpu"
    ) -> None:
        self.grid = grid
        self.device = torch.device(device)
        self._map: Tensor | None = None

    @abstractmethod
    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        """Saliency of every token of every image; higher is looked at sooner."""

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Compute the maps of a new batch of images.

        Raises:
            FloatingPointError: A map holds NaN or infinity.
        """
        saliency = self.saliency_map(images)
        if not torch.isfinite(saliency).all():
            raise FloatingPointError(f"policy {self.name!r} computed a map with NaN or infinity")
        self._map = saliency

    def act(self, view: View) -> Int[Tensor, " batch"]:
        """Token index of the highest value that is not inhibited; ties go to the first."""
        if self._map is None:
            raise RuntimeError(f"policy {self.name!r}: call reset(images) before act(view)")
        cells = open_cells(view)
        if self._map.shape != cells.shape:
            raise ValueError(
                f"policy {self.name!r} has maps {tuple(self._map.shape)}, the episodes need "
                f"{tuple(cells.shape)}: give the policy the classifier's grid, and the images"
            )
        return self._map.masked_fill(~cells, -torch.inf).flatten(1).argmax(-1)
