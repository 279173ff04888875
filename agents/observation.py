"""What an agent observes, built from images and a :class:`saccade_env.core.View` alone.

The arrays are those of the environment it is trained in, by the same list of observers
(:func:`saccade_env.observe.eye.extras`), so that an agent can be asked anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import UInt8
from torch import Tensor

from saccade_env import classifiers
from saccade_env.config import SaccadeConfig
from saccade_env.core import View
from saccade_env.geometry import Grid
from saccade_env.observe.eye import Eye, extras
from saccade_env.observe.tokens import observe, patches
from saccade_env.spaces import Observation, observation_space


def eye_of(
    described: Mapping[str, Any] | None, grid: Grid, patch_size: int, device: str | torch.device
) -> Eye | None:
    """The eye of a description: ``classifier`` (or its name), ``sees`` and ``shows``.

    Raises:
        ValueError: There is no such eye, or not on this grid.
    """
    if described is None:
        return None
    seer = classifiers.create(
        described["classifier"],
        device=device,
        image_size=(grid[0] * patch_size, grid[1] * patch_size),
    )
    if (tuple(seer.grid), seer.patch_size) != (tuple(grid), patch_size):
        raise ValueError(
            f"the eye's classifier has {seer.grid} tokens of {seer.patch_size} pixels; the agent "
            f"needs {tuple(grid)} of {patch_size}"
        )
    try:
        return Eye(seer, described["sees"], described["shows"])  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"the agent cannot observe that: {error}") from error


class Observing:
    """Builds the observation of a batch of episodes.

    Args:
        grid: Token grid (rows, cols).
        patch_size: Side of a token in pixels.
        periphery: Side in pixels of the small whole picture; 0 means none.
        prior: A policy whose saliency map is shown (:class:`saccade_env.core.HasMaps`); None means
            none.
        belief: Number of class probabilities shown of what the classifier believes; 0 means none.
        eye: What an :class:`.Eye` finds; None means none.

    Raises:
        TypeError: The prior has no saliency map.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        patch_size: int,
        periphery: int = 0,
        prior: Any = None,
        belief: int = 0,
        eye: Eye | None = None,
    ) -> None:
        self.grid, self.patch_size = (grid[0], grid[1]), patch_size
        self.periphery, self.belief, self.eye = periphery, belief, eye
        self._observers = extras(self.grid, periphery, prior, belief, eye)
        self._tokens: np.ndarray | None = None
        self._fixed: list[Any] = []

    def space(self, max_saccades: int) -> spaces.Dict:
        """Observation space of one episode with such a budget."""
        config = SaccadeConfig(grid=self.grid, fovea=1, max_saccades=max_saccades)
        space: Any = observation_space(config, self.patch_size)
        for observer in self._observers:
            space = observer.space(space)
        return space

    def begin(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Take in the pictures of new episodes: everything that depends on them alone.

        Raises:
            ValueError: The pictures do not have the grid's size.
        """
        wanted = tuple(side * self.patch_size for side in self.grid)
        if tuple(images.shape[2:]) != wanted:
            raise ValueError(
                f"images must be {wanted[0]}×{wanted[1]}, a grid of {self.grid} tokens of "
                f"{self.patch_size} pixels; got {images.shape[2]}×{images.shape[3]}"
            )
        self._tokens = patches(images, self.patch_size)
        self._fixed = [observer.fixed(images) for observer in self._observers]

    def __call__(self, view: View) -> Observation:
        """The observation of every episode, batch first.

        Raises:
            RuntimeError: There was no :meth:`begin`.
            ValueError: The view is of other episodes: of another number, on another grid, or of a
                classifier with too few classes.
        """
        if self._tokens is None:
            raise RuntimeError("begin(images) must come before the first observation")
        if view.revealed.shape != (len(self._tokens), *self.grid):
            raise ValueError(
                f"the view must be of {len(self._tokens)} episodes on a grid of {self.grid}; "
                f"got {tuple(view.revealed.shape)}"
            )
        if self.belief > view.logits.shape[1]:
            raise ValueError(
                f"{self.belief} class probabilities are to be observed, and the classifier has "
                f"{view.logits.shape[1]} classes"
            )
        tokens = self._tokens
        observation = observe(view, lambda revealed: tokens * revealed[..., None])
        for observer, fixed in zip(self._observers, self._fixed, strict=True):
            observation = observer(observation, observer.now(view, fixed))
        return observation
