"""What an agent observes, built from images and a :class:`saccade_env.core.View` alone.

The arrays are those of the environment in its wrappers, so that an agent trained there can be
asked anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8
from torch import Tensor

from saccade_env.config import SaccadeConfig
from saccade_env.core import View
from saccade_env.geometry import patchify
from saccade_env.observe.activation import Activation
from saccade_env.observe.observers import Belief, Observer, Periphery, Saliency
from saccade_env.spaces import Observation, observation_space


class Observing:
    """Builds the observation of a batch of episodes.

    Args:
        grid: Token grid (rows, cols).
        patch_size: Side of a token in pixels.
        periphery: Side in pixels of the small whole picture; 0 means none.
        prior: What has ``saliency_map(images)``, as every SaliencyPolicy; None means none.
        belief: Number of class probabilities shown of what the classifier believes; 0 means none.
        eye: A convolutional classifier whose activation on the foveated picture is shown; None
            means none. It needs a periphery.

    Raises:
        TypeError: The prior has no saliency map, or the eye no class activation map.
        ValueError: There is an eye and no periphery.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        patch_size: int,
        periphery: int = 0,
        prior: Any = None,
        belief: int = 0,
        eye: Any = None,
    ) -> None:
        if prior is not None and not hasattr(prior, "saliency_map"):
            raise TypeError(f"{prior!r} has no saliency_map(images)")
        self.grid, self.patch_size = (grid[0], grid[1]), patch_size
        self.periphery, self.belief = periphery, belief
        self.eye = eye.name if eye is not None else None
        self._observers: list[Observer] = []
        if periphery:
            self._observers.append(Periphery(periphery))
        if prior is not None:
            self._observers.append(Saliency(prior, grid))
        if belief:
            self._observers.append(Belief(belief))
        if eye is not None:
            self._observers.append(Activation(eye, periphery))
        self._tokens: np.ndarray | None = None
        self._fixed: list[np.ndarray] = []

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
        self._tokens = patchify(images, self.patch_size).cpu().numpy()
        self._fixed = [observer.fixed(images) for observer in self._observers]

    def __call__(self, view: View) -> Observation:
        """The observation of every episode, batch first.

        Raises:
            RuntimeError: There was no :meth:`begin`.
            ValueError: The view is of other episodes: of another number, or on another grid.
        """
        if self._tokens is None:
            raise RuntimeError("begin(images) must come before the first observation")
        if view.revealed.shape != (len(self._tokens), *self.grid):
            raise ValueError(
                f"the view must be of {len(self._tokens)} episodes on a grid of {self.grid}; "
                f"got {tuple(view.revealed.shape)}"
            )
        observation = observe(self._tokens, view)
        for observer, fixed in zip(self._observers, self._fixed, strict=True):
            observation = observer(observation, observer.now(view, fixed))
        return observation


def observe(tokens: UInt8[np.ndarray, "batch tokens pixels"], view: View) -> Observation:
    """The default observation, see :func:`saccade_env.spaces.observation_space`.

    Args:
        tokens: Those of the pictures, nothing hidden.
        view: What is known of the episodes.
    """
    revealed = view.revealed.flatten(1).cpu().numpy()
    done, fixations = view.saccades_done.cpu().numpy(), view.fixations.cpu().numpy()
    return {
        "tokens": tokens * revealed[..., None],
        "revealed": revealed.astype(np.int8),
        "fixation": fixations[np.arange(len(done)), np.maximum(done - 1, 0)],
        "saccades_left": fixations.shape[1] - done,
    }
