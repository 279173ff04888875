"""Policies that follow a saliency map: map → inhibition of return (core.inhibit) → argmax.

A map is ``[B, rows, cols]`` on the token grid, computed once per image; every saccade of the
episode is chosen from it (paper, section on the attention map). Maps that cost more than to read
are kept on disk, so that a picture's is computed once for all runs: see ``map_cache.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.runtime import autocast
from saccade_env.core import Policy, View, open_cells
from saccade_env.counting import is_counting
from saccade_env.geometry import Grid
from saccade_env.policies.map_cache import MapCache, description_of, picture_keys

__all__ = ["Policy", "SaliencyPolicy", "View"]


class OnGrid(Protocol):
    """A policy that was made for a token grid."""

    name: str
    grid: Grid


def trying(classifier: Classifier, policy: OnGrid, grid: Grid) -> Classifier:
    """What a policy tries fixations with: a classifier without its KV cache.

    Args:
        classifier: The policy's own, or that of the episodes.
        policy: Who tries.
        grid: Of the episodes.

    Raises:
        ValueError: Policy, classifier and episodes have not the same grid.
    """
    judge = classifier.recomputing
    if not tuple(policy.grid) == tuple(grid) == tuple(judge.grid):
        raise ValueError(
            f"policy {policy.name!r} has grid {policy.grid} and its classifier {judge.grid}, the "
            f"episodes have {grid}: give the policy the classifier's grid"
        )
    return judge


class SaliencyPolicy(ABC):
    """A policy that fixates the highest value of a static map that is not inhibited.

    Args:
        grid: Token grid (rows, cols) of the classifier.
        device: Where the maps are computed.
        cache: Read maps from disk and keep them there, if the class allows it.

    Attributes:
        weights: Of its network, None without.
        maps_version: 0 means that maps are never kept on disk. A class may set 1 if they depend
            on nothing but the pictures, ``weights``, and parameters that are public attributes;
            it must raise it whenever the same parameters come to give other maps. Subclasses do
            not inherit it.
    """

    name: str
    sees_full_image: bool = True
    weights: Weights | None = None
    maps_version: ClassVar[int] = 0
    _disk: MapCache | None = None

    def __init__(
        self,
        *,
        grid: tuple[int, int] = (14, 14),
        device: str | torch.device = "cpu",
        cache: bool = True,
    ) -> None:
        if min(grid) < 1:
            raise ValueError(f"grid must be (rows, cols), each ≥ 1; got {grid}")
        self.grid = grid
        self.device = torch.device(device)
        self._cache = cache  # private: it changes no result, so it describes no run
        self._map: Tensor | None = None

    @abstractmethod
    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        """Saliency of every token of every image; higher is looked at sooner."""

    def maps(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        """The maps of :meth:`saliency_map`, each computed once and then read from disk.

        Raises:
            FloatingPointError: A map holds NaN or infinity.
        """
        disk = self._map_cache(images)
        if disk is None:
            return self._computed(images)
        keys = picture_keys(images)
        known = disk.read(keys)
        rows = {key: row for row, key in enumerate(keys) if key not in known}
        if rows:
            fresh = self._computed(images[list(rows.values())]).detach().cpu()
            disk.write(list(rows), fresh)
            known.update(zip(rows, fresh, strict=True))
        return torch.stack([known[key] for key in keys]).to(images.device)

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Compute the maps of a new batch of images.

        Raises:
            FloatingPointError: A map holds NaN or infinity.
        """
        self._map = self.maps(images)

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

    def _computed(self, images: Tensor) -> Tensor:
        with autocast(self.device, None):
            saliency = self.saliency_map(images)
        if not torch.isfinite(saliency).all():
            raise FloatingPointError(f"policy {self.name!r} computed a map with NaN or infinity")
        return saliency

    def _map_cache(self, images: Tensor) -> MapCache | None:
        """Where the maps of these pictures are kept, if they are."""
        description = description_of(self)
        if is_counting() or description is None or not (self._cache and len(images)):
            return None
        if images.dtype != torch.uint8:
            return None
        try:
            wanted = MapCache(description)  # anew, as parameters may have been changed
        except RuntimeError:  # the user has no home folder, hence no cache
            return None
        if self._disk is None or self._disk.path != wanted.path:
            self._disk = wanted
        return self._disk
