"""The default observation, and its ``tokens``: only what a saccade reveals is written anew.

An observation is 150 KB of tokens a row, of which a saccade changes at most fovea². They are kept
up to date in one array, which is copied into what the caller gets: an array of an earlier step
that nobody holds any more (nor a view or tensor of it), since fresh memory costs far more than the
copy. So observations are the caller's, to keep or to write to, as Gymnasium and SB3 want them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8
from torch import Tensor

from saccade_env.core import State, View
from saccade_env.geometry import patchify
from saccade_env.spaces import Observation

_KEPT = 3  # the one in the caller's hands, the one before it (SB3 stores it late), the next one


def patches(
    images: Shaped[Tensor, "batch 3 height width"], patch_size: int
) -> Shaped[np.ndarray, "batch tokens pixels"]:
    """Images to the tokens of the observation, nothing hidden."""
    return patchify(images, patch_size).cpu().numpy()


def observe(
    episodes: State | View, write: Callable[[Bool[np.ndarray, "batch tokens"]], np.ndarray]
) -> Observation:
    """The default observation of every row, see :func:`saccade_env.spaces.observation_space`.

    Args:
        episodes: What is known of them.
        write: Gives the revealed tokens of their pictures, as :meth:`TokenBuffers.write` does.
    """
    revealed = episodes.revealed.flatten(1).cpu().numpy()
    done, fixations = episodes.saccades_done.cpu().numpy(), episodes.fixations.cpu().numpy()
    return {
        "tokens": write(revealed),
        "revealed": revealed.astype(np.uint8),
        "fixation": fixations[np.arange(len(done)), np.maximum(done - 1, 0)],
        "saccades_left": (fixations.shape[1] - done)[:, None],
    }


class TokenBuffers:
    """Writes the tokens of a batch of episodes."""

    def __init__(self) -> None:
        self._handed_out: list[list[np.ndarray]] = []  # each in a list, for one count of holders

    def begin(self, patches: UInt8[np.ndarray, "batch tokens pixels"]) -> None:
        """Start every row; ``patches`` are all tokens of the images."""
        self._patches, self._tokens = patches, np.zeros_like(patches)
        self._revealed = np.zeros(patches.shape[:2], bool)

    def replace(
        self,
        rows: Int[np.ndarray, " some"],
        patches: UInt8[np.ndarray, "some tokens pixels"],
    ) -> None:
        """Start some rows anew."""
        self._patches[rows] = patches
        self._tokens[rows] = 0
        self._revealed[rows] = False

    def write(
        self, revealed: Bool[np.ndarray, "batch tokens"]
    ) -> UInt8[np.ndarray, "batch tokens pixels"]:
        """The revealed tokens, zero where hidden; what was revealed before still is."""
        fresh = np.flatnonzero(revealed & ~self._revealed)
        pixels = self._tokens.shape[-1]
        self._tokens.reshape(-1, pixels)[fresh] = self._patches.reshape(-1, pixels)[fresh]
        self._revealed = revealed.copy()
        array = self._free()
        np.copyto(array, self._tokens)
        return array

    def _free(self) -> np.ndarray:
        for held in self._handed_out:
            if _holders(held) == _IDLE and held[0].shape == self._tokens.shape:
                return held[0]
        self._handed_out = [[np.empty_like(self._tokens)], *self._handed_out][:_KEPT]
        return self._handed_out[0][0]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_handed_out": []}


def _holders(held: list[np.ndarray]) -> int:
    return sys.getrefcount(held[0])


_IDLE = _holders([np.zeros(1)])
