"""An environment's own observation, as its keyword ``observation`` says; wrappers add to it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env.core import State
from saccade_env.observe.compact import compact_space, observe_compact
from saccade_env.observe.tokens import TokenBuffers, observe, patches
from saccade_env.spaces import Observation, observation_space
from saccade_env.task import Task


class Own(Protocol):
    """Makes the observations of a batch of episodes.

    Attributes:
        space: Of one environment.
    """

    space: spaces.Dict

    def begin(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Start every row on a picture."""

    def replace(
        self, rows: Int[np.ndarray, " some"], images: UInt8[Tensor, "some 3 height width"]
    ) -> None:
        """Start some rows anew."""

    def __call__(self, episodes: State) -> Observation:
        """The observation of every row, which is the caller's."""


class Tokens:
    """The default observation."""

    def __init__(self, task: Task) -> None:
        self._patch_size, self._buffers = task.classifier.patch_size, TokenBuffers()
        self.space = observation_space(task.config, self._patch_size)

    def begin(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        self._buffers.begin(patches(images, self._patch_size))

    def replace(
        self, rows: Int[np.ndarray, " some"], images: UInt8[Tensor, "some 3 height width"]
    ) -> None:
        self._buffers.replace(rows, patches(images, self._patch_size))

    def __call__(self, episodes: State) -> Observation:
        return observe(episodes, self._buffers.write)


class Compact:
    """The compact observation, which has no pictures."""

    def __init__(self, task: Task) -> None:
        self.space = compact_space(task.config, len(task.source))

    def begin(self, images: Any) -> None: ...

    def replace(self, rows: Any, images: Any) -> None: ...

    def __call__(self, episodes: State) -> Observation:
        return observe_compact(episodes, self.space)


def own_observation(task: Task) -> Own:
    """Makes what a task's ``observation`` names."""
    return Compact(task) if task.observation == "compact" else Tokens(task)
