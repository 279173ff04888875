"""Other observations, for the single and the vector environment alike.

``ImageObservation(env)``, ``PeripheryObservation(env, size)`` and ``SaliencyObservation(env,
policy)`` return a wrapper of the kind the environment needs. What depends on the picture alone is
computed once an episode, for all new rows in one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env import geometry
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

    @abstractmethod
    def __call__(self, observation: Observation, fixed: np.ndarray) -> Any:
        """The new observation of a batch."""


class _Image(Observer):
    def __init__(self, grid: tuple[int, int], patch_size: int) -> None:
        self.grid, self.patch_size = grid, patch_size

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        height, width = (side * self.patch_size for side in self.grid)
        return spaces.Box(0, 255, (height, width, 3), np.uint8)

    def fixed(self, images: Tensor) -> np.ndarray:
        return np.zeros(len(images))

    def __call__(self, observation: Observation, fixed: np.ndarray) -> np.ndarray:
        hidden = observation["revealed"][..., None] == 0
        tokens = np.where(hidden, np.uint8(NEUTRAL), observation["tokens"])
        images = geometry.unpatchify(torch.from_numpy(tokens), self.grid, self.patch_size)
        return images.permute(0, 2, 3, 1).contiguous().numpy()


class _Periphery(Observer):
    def __init__(self, size: int) -> None:
        self.size = size

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        box = spaces.Box(0, 255, (self.size, self.size, 3), np.uint8)
        return spaces.Dict({**single.spaces, "periphery": box})

    def fixed(self, images: Tensor) -> np.ndarray:
        small = F.interpolate(images.float(), (self.size, self.size), mode="area")
        return small.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def __call__(self, observation: Observation, fixed: np.ndarray) -> Observation:
        return {**observation, "periphery": fixed.copy()}


class _Saliency(Observer):
    def __init__(self, policy: Any, grid: tuple[int, int]) -> None:
        self.policy, self.grid = policy, grid

    def space(self, single: spaces.Dict) -> spaces.Space[Any]:
        return spaces.Dict({**single.spaces, "saliency": spaces.Box(0, 1, self.grid, np.float32)})

    def fixed(self, images: Tensor) -> np.ndarray:
        maps = getattr(self.policy, "maps", self.policy.saliency_map)(images).float()
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        scaled = (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
        return scaled.cpu().numpy()

    def __call__(self, observation: Observation, fixed: np.ndarray) -> Observation:
        return {**observation, "saliency": fixed.copy()}


class _Observing(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Applies an observer to one environment; around a vector environment, makes its like."""

    def __new__(cls, env: Any = None, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(env, VectorEnv):
            return VectorObservation(env, cls.observer(env, *arguments, **keywords))
        return super().__new__(cls)

    def __init__(self, env: gym.Env[Any, Any], *arguments: Any, **keywords: Any) -> None:
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, **keywords)
        gym.Wrapper.__init__(self, env)
        self._observer = self.observer(env, *arguments, **keywords)
        self.observation_space = self._observer.space(env.observation_space)  # type: ignore[arg-type]

    @staticmethod
    def observer(env: Any) -> Observer:
        """What turns the environment's observation into another."""
        raise TypeError("use ImageObservation, PeripheryObservation or SaliencyObservation")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._fixed = self._observer.fixed(self.env.unwrapped.images)  # type: ignore[attr-defined]
        return _observe_one(self._observer, observation, self._fixed), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        new = _observe_one(self._observer, observation, self._fixed)
        return new, reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """Passed through, for MaskablePPO."""
        return self.env.unwrapped.action_masks()  # type: ignore[attr-defined]


class ImageObservation(_Observing):
    """Observe an RGB image [H, W, 3] uint8 with hidden tokens neutral (127).

    Around a vector environment it makes a :class:`VectorObservation`.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)

    @staticmethod
    def observer(env: Any) -> Observer:
        base = env.unwrapped
        return _Image(base.config.grid, base.patch_size)


class PeripheryObservation(_Observing):
    """Add ``periphery``: the whole picture at low resolution, uint8 [size, size, 3].

    Around a vector environment it makes a :class:`VectorObservation`.

    Raises:
        ValueError: ``size`` is below 1.
    """

    def __init__(self, env: Any, size: int = 32) -> None:
        super().__init__(env, size=size)

    @staticmethod
    def observer(env: Any, size: int = 32) -> Observer:
        if size < 1:
            raise ValueError(f"size must be ≥ 1 pixel; got {size}")
        return _Periphery(size)


class SaliencyObservation(_Observing):
    """Add ``saliency``: a policy's map, float32 [rows, cols], scaled to 0…1 for each picture.

    ``policy`` is anything with ``saliency_map(images) -> [B, rows, cols]``, as every
    SaliencyPolicy has. Around a vector environment it makes a :class:`VectorObservation`.

    Raises:
        TypeError: The policy has no saliency map.
    """

    def __init__(self, env: Any, policy: Any) -> None:
        super().__init__(env, policy=policy)

    @staticmethod
    def observer(env: Any, policy: Any) -> Observer:  # type: ignore[override]
        if not hasattr(policy, "saliency_map"):
            raise TypeError(f"{policy!r} has no saliency_map(images)")
        return _Saliency(policy, env.unwrapped.config.grid)


class VectorObservation(VectorWrapper):
    """Applies an observer to a vector environment."""

    def __init__(self, env: VectorEnv[Any, Any, Any], observer: Observer) -> None:
        super().__init__(env)
        self.observer = observer
        single = observer.space(env.single_observation_space)  # type: ignore[arg-type]
        self.single_observation_space = single
        self.observation_space = batch_space(single, env.num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, infos = self.env.reset(seed=seed, options=options)
        self._fixed = self.observer.fixed(self.env.unwrapped.images)  # type: ignore[attr-defined]
        return self.observer(observation, self._fixed), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        rows = np.flatnonzero(infos.get("_final_obs", np.zeros(0, bool)))
        for row in rows:  # what an episode ended on belongs to its own picture, not the next one
            final = infos["final_obs"][row]
            infos["final_obs"][row] = _observe_one(self.observer, final, self._fixed[row, None])
        if len(rows):
            images = self.env.unwrapped.images[rows]  # type: ignore[attr-defined]
            self._fixed[rows] = self.observer.fixed(images)
        return self.observer(observation, self._fixed), reward, terminated, truncated, infos

    def action_masks(self) -> np.ndarray:
        """Passed through, for MaskablePPO."""
        return self.env.unwrapped.action_masks()  # type: ignore[attr-defined]


def _observe_one(observer: Observer, observation: Observation, fixed: np.ndarray) -> Any:
    batch = observer({key: np.asarray(value)[None] for key, value in observation.items()}, fixed)
    return {k: v[0] for k, v in batch.items()} if isinstance(batch, dict) else batch[0]
