"""Other observations, for the single and the vector environment alike.

``ImageObservation(env)``, ``PeripheryObservation(env, size)``, ``SaliencyObservation(env,
policy)``, ``BeliefObservation(env, top)`` and ``ActivationObservation(env, periphery)`` return a
wrapper of the kind the environment needs. What depends on the picture alone is computed once an
episode, for all new rows in one batch.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from saccade_env.observe import observers
from saccade_env.observe.activation import Activation
from saccade_env.observe.observers import Observer, observe_one
from saccade_env.rows import take_rows
from saccade_env.spaces import Observation


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
        raise TypeError("use ImageObservation or another of the wrappers in this module")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._fixed = self._observer.fixed(self.env.unwrapped.images)  # type: ignore[attr-defined]
        return self._observe(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._observe(observation), reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """Passed through, for MaskablePPO."""
        return self.env.unwrapped.action_masks()  # type: ignore[attr-defined]

    def _observe(self, observation: Observation) -> Any:
        view = self.env.unwrapped.view  # type: ignore[attr-defined]
        now = self._observer.now(view, self._fixed)
        return observe_one(self._observer, observation, now)


class ImageObservation(_Observing):
    """Observe an RGB image [H, W, 3] uint8 with hidden tokens neutral (127).

    Around a vector environment it makes a :class:`VectorObservation`.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)

    @staticmethod
    def observer(env: Any) -> Observer:
        base = env.unwrapped
        return observers.Image(base.config.grid, base.patch_size)


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
        return observers.Periphery(size)


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
        return observers.Saliency(policy, env.unwrapped.config.grid)


class BeliefObservation(_Observing):
    """Add ``belief``: certainty, margin and ``top`` probabilities so far, float32 [2 + top].

    See :func:`saccade_env.observe.observers.belief`. Around a vector environment it makes a
    :class:`VectorObservation`.

    Raises:
        ValueError: ``top`` is below 1 or above the number of classes.
    """

    def __init__(self, env: Any, top: int = 5) -> None:
        super().__init__(env, top=top)

    @staticmethod
    def observer(env: Any, top: int = 5) -> Observer:
        classes = env.unwrapped.card["classifier"]["num_classes"]
        if not 1 <= top <= classes:
            raise ValueError(f"top must be ≥ 1 and ≤ {classes} classes; got {top}")
        return observers.Belief(top)


class ActivationObservation(_Observing):
    """Add ``activation``: where the classifier sees what it believes, float32 [rows, cols], 0…1.

    Its class activation map on what is revealed and a blurred periphery, anew at each saccade: see
    :mod:`saccade_env.observe.activation`. It costs another forward a saccade. Around a vector
    environment it makes a :class:`VectorObservation`.

    Raises:
        ValueError: The classifier has no class activation map, as it is not convolutional, or
            ``periphery`` is below 1 pixel.
    """

    def __init__(self, env: Any, periphery: int = 64) -> None:
        super().__init__(env, periphery=periphery)

    @staticmethod
    def observer(env: Any, periphery: int = 64) -> Observer:
        return Activation(env.unwrapped.classifier, periphery)


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
        return self._observe(observation), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        rows = np.flatnonzero(infos.get("_final_obs", np.zeros(0, bool)))
        if len(rows):
            self._replace(rows, infos["final_obs"])
        return self._observe(observation), reward, terminated, truncated, infos

    def action_masks(self) -> np.ndarray:
        """Passed through, for MaskablePPO."""
        return self.env.unwrapped.action_masks()  # type: ignore[attr-defined]

    def _observe(self, observation: Observation) -> Any:
        view = self.env.unwrapped.view  # type: ignore[attr-defined]
        return self.observer(observation, self.observer.now(view, self._fixed))

    def _replace(self, rows: np.ndarray, finals: np.ndarray) -> None:
        """Observe what episodes ended on, which has their own picture, and take in the new ones."""
        base: Any = self.env.unwrapped
        own = take_rows(base.stepped, torch.from_numpy(rows))
        ended = self.observer.now(own, self._fixed[rows])
        for row, now in zip(rows, ended, strict=True):
            finals[row] = observe_one(self.observer, finals[row], now[None])
        self._fixed[rows] = self.observer.fixed(base.images[rows])
