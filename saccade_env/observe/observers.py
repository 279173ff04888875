"""What may be observed: each :class:`Observer` turns a batch of observations into another.

The wrappers of both environments and the agents use the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env import geometry
from saccade_env.core import HasMaps, View
from saccade_env.observe.activation import scaled
from saccade_env.spaces import Observation

NEUTRAL = 127
BELIEF = 5  # probabilities shown unless told otherwise


class Observer(ABC):
    """Turns a batch of observations into another, with the help of what one episode fixes.

    Attributes:
        needs: Parts of the default observation that it reads.
    """

    needs: tuple[str, ...] = ()

    @abstractmethod
    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        """Observation space of one environment."""

    def fixed(self, images: UInt8[Tensor, "batch 3 height width"]) -> Any:
        """What depends on the pictures alone: nested tensors, batch first; nothing as a rule."""
        return torch.zeros(len(images))

    def now(self, view: View, fixed: Any) -> np.ndarray:
        """What goes into the observation of this step: as a rule what the pictures fixed."""
        found: np.ndarray = fixed.numpy()
        return found

    @abstractmethod
    def __call__(self, observation: Observation, now: np.ndarray) -> Any:
        """The new observation of a batch, from the old one and what :meth:`now` gave."""


class Image(Observer):
    """An RGB image with hidden tokens neutral."""

    needs = ("tokens", "revealed")

    def __init__(self, grid: tuple[int, int], patch_size: int) -> None:
        self.grid, self.patch_size = grid, patch_size

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        height, width = (side * self.patch_size for side in self.grid)
        return spaces.Box(0, 255, (height, width, 3), np.uint8)

    def __call__(self, observation: Observation, now: np.ndarray) -> np.ndarray:
        hidden = observation["revealed"][..., None] == 0
        tokens = np.where(hidden, np.uint8(NEUTRAL), observation["tokens"])
        images = geometry.unpatchify(torch.from_numpy(tokens), self.grid, self.patch_size)
        return images.permute(0, 2, 3, 1).contiguous().numpy()


class Extra(Observer):
    """Something beside the rest, under a name.

    Attributes:
        name: Its key.
        box: Its space.
    """

    name: str
    box: spaces.Box

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        return spaces.Dict({**single.spaces, self.name: self.box})

    def __call__(self, observation: Observation, now: np.ndarray) -> Observation:
        return {**observation, self.name: now.copy()}


class Periphery(Extra):
    """The whole picture at low resolution, beside the rest.

    Raises:
        ValueError: ``size`` is below 1 pixel.
    """

    name = "periphery"

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be ≥ 1 pixel; got {size}")
        self.size, self.box = size, spaces.Box(0, 255, (size, size, 3), np.uint8)

    def fixed(self, images: Tensor) -> Tensor:
        small = F.interpolate(images.float(), (self.size, self.size), mode="area")
        return small.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()


class Saliency(Extra):
    """A policy's map, beside the rest.

    Raises:
        TypeError: The policy has no saliency maps.
    """

    name = "saliency"

    def __init__(self, policy: HasMaps, grid: tuple[int, int]) -> None:
        if not isinstance(policy, HasMaps):
            raise TypeError(f"{policy!r} has no saliency_map(images) and maps(images)")
        self.policy, self.box = policy, spaces.Box(0, 1, grid, np.float32)

    def fixed(self, images: Tensor) -> Tensor:
        return scaled(self.policy.maps(images).float()).cpu()


class Belief(Extra):
    """What the classifier believes, beside the rest.

    Raises:
        ValueError: ``top`` is below 1 or above the number of classes.
    """

    name = "belief"

    def __init__(self, top: int, classes: int | None = None) -> None:
        if not 1 <= top <= (classes or top):
            raise ValueError(f"top must be ≥ 1 and ≤ {classes} classes; got {top}")
        self.top, self.box = top, spaces.Box(0, 1, (2 + top,), np.float32)

    def now(self, view: View, fixed: Any) -> np.ndarray:
        return belief(view, self.top).cpu().numpy()


def belief(view: View, top: int = BELIEF) -> Float[Tensor, "batch features"]:
    """What the classifier makes of what it has seen, float32 [B, 2 + top], each 0 to 1.

    Certainty, the margin between the two most probable classes, then the ``top`` highest
    probabilities in falling order. Which classes these are is left out.
    """
    highest = view.logits.float().softmax(-1).topk(max(top, 2)).values
    margin = highest[:, 0] - highest[:, 1]
    return torch.cat((view.certainty.float()[:, None], margin[:, None], highest[:, :top]), 1)


def observe_one(observer: Observer, observation: Observation, now: np.ndarray) -> Any:
    """The same for one environment, whose observation has no leading axis; ``now`` has."""
    batch = observer({key: np.asarray(value)[None] for key, value in observation.items()}, now)
    return {k: v[0] for k, v in batch.items()} if isinstance(batch, dict) else batch[0]
