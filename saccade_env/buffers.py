"""The ``tokens`` of observations, in arrays that are written again once nobody holds them.

An observation is 150 KB of tokens a row, and a saccade changes at most fovea² of them: writing
those into the array of an earlier step is far cheaper than filling a fresh one. An array that
anybody still holds, or a view or tensor of it, is never written: so observations are the
caller's, as Gymnasium and Stable-Baselines3 want them, and need no copy.
"""

from __future__ import annotations

import sys

import numpy as np
from jaxtyping import Bool, Int, UInt8

_KEPT = 3  # the one in the caller's hands, the one before it (SB3 stores it late), the next one


class _Buffer:
    """An array, and what it shows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.array = np.zeros(shape, np.uint8)
        self.shown = np.zeros(shape[:2], bool)
        self.episode = np.full(shape[0], -1)

    def holders(self) -> int:
        return sys.getrefcount(self.array)


_IDLE = _Buffer((1, 1, 1)).holders()


class TokenBuffers:
    """Writes the tokens of a batch of episodes."""

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []
        self._begun = 0

    def begin(self, patches: UInt8[np.ndarray, "batch tokens pixels"]) -> None:
        """Start every row; ``patches`` are all tokens of the images."""
        if self._buffers and self._buffers[0].array.shape != patches.shape:
            self._buffers = []
        self._patches, self._episode = patches, self._new(len(patches))

    def replace(
        self,
        rows: Int[np.ndarray, " some"],
        patches: UInt8[np.ndarray, "some tokens pixels"],
    ) -> None:
        """Start some rows anew."""
        self._patches[rows] = patches
        self._episode[rows] = self._new(len(rows))

    def write(
        self, revealed: Bool[np.ndarray, "batch tokens"]
    ) -> UInt8[np.ndarray, "batch tokens pixels"]:
        """The revealed tokens, zero where hidden; the array is the caller's."""
        buffer = self._free()
        same = (buffer.episode == self._episode)[:, None]
        pixels = self._patches.shape[-1]
        array, patches = buffer.array.reshape(-1, pixels), self._patches.reshape(-1, pixels)
        array[np.flatnonzero(buffer.shown & ~(same & revealed))] = 0
        fresh = np.flatnonzero(revealed & ~(same & buffer.shown))
        array[fresh] = patches[fresh]
        buffer.shown, buffer.episode = revealed.copy(), self._episode.copy()
        return buffer.array

    def _free(self) -> _Buffer:
        for buffer in self._buffers:
            if buffer.holders() == _IDLE:
                return buffer
        self._buffers = [_Buffer(self._patches.shape), *self._buffers][:_KEPT]
        return self._buffers[0]

    def _new(self, count: int) -> Int[np.ndarray, " count"]:
        self._begun += count
        return np.arange(self._begun - count, self._begun)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_buffers": []}
