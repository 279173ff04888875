"""What the wrappers show: each :class:`Observer` turns a batch of observations into another."""

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
from saccade_env.core import View
from saccade_env.spaces import Observation

NEUTRAL = 127


class Observer(ABC):
    """Turns a batch of observations into another, with the help of what one episode fixes."""

    @abstractmethod
    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        """Observation space of one environment."""

    @abstractmethod
    def fixed(self, images: UInt8[Tensor, "batch 3 height width"]) -> np.ndarray:
        """What depends on the pictures alone, [B, …]."""

    def now(self, view: View, fixed: np.ndarray) -> np.ndarray:
        """What goes into the observation of this step: as a rule what the pictures fixed."""
        return fixed

    @abstractmethod
    def __call__(self, observation: Observation, now: np.ndarray) -> Any:
        """The new observation of a batch, from the old one and what :meth:`now` gave."""


class Image(Observer):
    """An RGB image with hidden tokens neutral."""

    def __init__(self, grid: tuple[int, int], patch_size: int) -> None:
        self.grid, self.patch_size = grid, patch_size

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        height, width = (side * self.patch_size for side in self.grid)
        return spaces.Box(0, 255, (height, width, 3), np.uint8)

    def fixed(self, images: Tensor) -> np.ndarray:
        return np.zeros(len(images))

    def __call__(self, observation: Observation, now: np.ndarray) -> np.ndarray:
        hidden = observation["revealed"][..., None] == 0
        tokens = np.where(hidden, np.uint8(NEUTRAL), observation["tokens"])
        images = geometry.unpatchify(torch.from_numpy(tokens), self.grid, self.patch_size)
        return images.permute(0, 2, 3, 1).contiguous().numpy()


class Periphery(Observer):
    """The whole picture at low resolution, beside the rest."""

    def __init__(self, size: int) -> None:
        self.size = size

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        box = spaces.Box(0, 255, (self.size, self.size, 3), np.uint8)
        return spaces.Dict({**single.spaces, "periphery": box})

    def fixed(self, images: Tensor) -> np.ndarray:
        small = F.interpolate(images.float(), (self.size, self.size), mode="area")
        return small.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def __call__(self, observation: Observation, now: np.ndarray) -> Observation:
        return {**observation, "periphery": now.copy()}


class Saliency(Observer):
    """A policy's map, beside the rest."""

    def __init__(self, policy: Any, grid: tuple[int, int]) -> None:
        self.policy, self.grid = policy, grid

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        return spaces.Dict({**single.spaces, "saliency": spaces.Box(0, 1, self.grid, np.float32)})

    def fixed(self, images: Tensor) -> np.ndarray:
        maps = getattr(self.policy, "maps", self.policy.saliency_map)(images).float()
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        scaled = (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
        return scaled.cpu().numpy()

    def __call__(self, observation: Observation, now: np.ndarray) -> Observation:
        return {**observation, "saliency": now.copy()}


class Belief(Observer):
    """What the classifier believes, beside the rest."""

    def __init__(self, top: int) -> None:
        self.top = top

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        return spaces.Dict({**single.spaces, "belief": spaces.Box(0, 1, (2 + self.top,))})

    def fixed(self, images: Tensor) -> np.ndarray:
        return np.zeros(len(images))

    def now(self, view: View, fixed: np.ndarray) -> np.ndarray:
        return belief(view, self.top).cpu().numpy()

    def __call__(self, observation: Observation, now: np.ndarray) -> Observation:
        return {**observation, "belief": now}


def belief(view: View, top: int = 5) -> Float[Tensor, "batch features"]:
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
