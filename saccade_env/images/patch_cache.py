"""Pictures of a source cut into tokens, in memory as far as they fit: :class:`PatchCache`.

What is in memory is uint8 [places, tokens, 3·p·p]; a picture that is not there is decoded into the
place that was used longest ago.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from saccade_env.geometry import grid_of, patchify
from saccade_env.images import ImageSource, stack
from saccade_env.images.feeding import batches, check_workers

_MEGABYTE = 10**6


class PatchCache:
    """The pictures of a source, by their places in it.

    Copies share it. A pickle has none of the pictures: what they were is told by name, number and
    identity, and :meth:`open` gives them back.

    Args:
        source: The pictures.
        patch_size: Side of a token in pixels.
        megabytes: Most memory for pictures, in MB; if they all fit, each is decoded once.
        workers: Threads that decode, as of the vector environment.

    Attributes:
        name: Of the source.
        grid: Token grid (rows, cols) of the pictures.
        places: How many pictures are kept at most.

    Raises:
        ValueError: Not one picture fits, or ``patch_size`` does not divide a picture.
    """

    def __init__(
        self,
        source: ImageSource,
        patch_size: int,
        megabytes: float = 512,
        workers: int | None = None,
    ) -> None:
        self.name, self.count, self.patch_size = source.name, len(source), patch_size
        self.grid = grid_of(source.image_size, patch_size)
        one = 3 * source.image_size[0] * source.image_size[1]
        self.places = min(int(megabytes * _MEGABYTE // one), self.count)
        if self.places < 1:
            raise ValueError(
                f"megabytes must be ≥ {one / _MEGABYTE:g}, one picture of {source.name!r}; "
                f"got {megabytes:g}"
            )
        self._workers = check_workers(workers)
        self._source: ImageSource | None = source
        self._identity = ""  # of the source that was there when it was pickled
        self._forget()

    def _forget(self) -> None:
        self._patches: Tensor | None = None
        self._held = np.full(self.places, -1)  # which picture is in a place
        self._used = np.zeros(self.places, np.int64)  # when it was asked for last
        self._clock = 0

    def __len__(self) -> int:
        return self.count

    @property
    def nbytes(self) -> int:
        """Bytes set aside for pictures."""
        return 0 if self._patches is None else self._patches.nbytes

    def open(self, source: ImageSource) -> None:
        """Give the pictures back, after a pickle was read.

        Raises:
            ValueError: They are others.
        """
        found, wanted = (len(source), source.identity), (self.count, self._known_identity())
        if found != wanted:
            raise ValueError(
                f"the pictures must be the {wanted[0]} of {self.name!r} with identity "
                f"{wanted[1][:12]}…; got {found[0]} of {source.name!r} with {found[1][:12]}…"
            )
        self._source = source

    def reveal(
        self, images: Int[Tensor, " batch"], revealed: Bool[Tensor, "batch tokens"]
    ) -> UInt8[Tensor, "batch tokens pixels"]:
        """Tokens of pictures, zero where they are not revealed, on the device of ``images``.

        Args:
            images: Places in the source.
            revealed: Which tokens to show.

        Raises:
            BrokenImageError: A picture cannot be read.
            IndexError: There is no such picture.
            RuntimeError: The pictures were lost in a pickle, and :meth:`open` was not called.
        """
        wanted, row = np.unique(images.cpu().numpy(), return_inverse=True)
        self._check(wanted)
        if len(wanted) > self.places:
            parts = zip(images.split(self.places), revealed.split(self.places), strict=True)
            return torch.cat([self.reveal(*part) for part in parts])
        kept = self._on(images.device).flatten(0, 1)
        places = torch.from_numpy(self._places_of(wanted)[row]).to(images.device)
        tokens = revealed.shape[1]
        shown = revealed.flatten().nonzero()[:, 0]
        at = places[shown // tokens] * tokens + shown % tokens
        result = torch.zeros(revealed.numel(), kept.shape[1], dtype=torch.uint8, device=kept.device)
        result[shown] = kept[at]
        return result.unflatten(0, revealed.shape)

    def _check(self, wanted: Int[np.ndarray, " some"]) -> None:
        if self._source is None:
            raise RuntimeError(
                f"the {self.count} pictures of {self.name!r} are not saved with what knows them: "
                "open(source) gives them back, to a model agents.compact.open_pictures"
            )
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < self.count:
            wrong = [place for place in wanted.tolist() if not 0 <= place < self.count]
            raise IndexError(
                f"image must be ≥ 0 and < {self.count}, the pictures of {self.name!r}; got {wrong}"
            )

    def _places_of(self, wanted: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
        """Where they are kept from now on, each once."""
        self._clock += 1
        order = np.argsort(self._held)
        near = np.searchsorted(self._held, wanted, sorter=order).clip(max=self.places - 1)
        places = order[near]
        known = self._held[places] == wanted
        self._used[places[known]] = self._clock
        if not known.all():
            places[~known] = self._decode(wanted[~known])
        return places

    def _decode(self, missing: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
        assert self._source is not None
        assert self._patches is not None
        oldest = np.argsort(self._used, kind="stable")[: len(missing)]
        [batch] = batches(self._source, [missing.tolist()], "raise", self._workers)
        pixels = patchify(stack(batch.pictures)[0], self.patch_size)
        self._patches[torch.from_numpy(oldest)] = pixels.to(self._patches.device)
        self._held[oldest], self._used[oldest] = missing, self._clock
        return oldest

    def _on(self, device: torch.device) -> UInt8[Tensor, "places tokens pixels"]:
        if self._patches is None:
            tokens, pixels = self.grid[0] * self.grid[1], 3 * self.patch_size**2
            shape = (self.places, tokens, pixels)
            self._patches = torch.empty(shape, dtype=torch.uint8, device=device)
        self._patches = self._patches.to(device)
        return self._patches

    def _known_identity(self) -> str:
        return self._identity if self._source is None else self._source.identity

    def __deepcopy__(self, memo: Any) -> PatchCache:
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_source": None, "_identity": self._known_identity()}
        return {key: state[key] for key in state.keys() - {"_patches", "_held", "_used", "_clock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()
