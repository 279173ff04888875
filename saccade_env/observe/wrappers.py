"""Other observations, for the single and the vector environment alike.

``ImageObservation(env)``, ``PeripheryObservation(env, size)``, ``SaliencyObservation(env,
policy)``, ``BeliefObservation(env, top)`` and ``EyeObservation(env, sees, shows)`` return a
wrapper of the kind the environment needs. What depends on the picture alone is computed once an
episode, for all new rows in one batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from saccade_env.core import HasMaps
from saccade_env.observe import observers
from saccade_env.observe.eye import Eye, Sees
from saccade_env.observe.observers import Observer, observe_one
from saccade_env.observe.sight import ACTIVATION
from saccade_env.rows import replace_rows, take_rows
from saccade_env.spaces import Observation, observation_space
from saccade_env.task import TaskHolder


class _Observing(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Applies an observer to one environment; around a vector environment, makes its like."""

    def __new__(cls, env: Any = None, *arguments: Any, **keywords: Any) -> Any:
        if not isinstance(env, VectorEnv):
            return super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind(None, env, *arguments, **keywords)
        bound.apply_defaults()
        return VectorObservation(env, cls.observer(_task_of(env, cls.__name__), *bound.args[2:]))

    def __init__(self, env: gym.Env[Any, Any], **keywords: Any) -> None:
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, **keywords)
        gym.Wrapper.__init__(self, env)
        self._observer = self.observer(_task_of(env, type(self).__name__), **keywords)
        self.observation_space = _space(self._observer, env, env.observation_space)

    @staticmethod
    def observer(task: TaskHolder) -> Observer:
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
    def observer(task: TaskHolder) -> Observer:
        return observers.Image(task.config.grid, task.patch_size)


class PeripheryObservation(_Observing):
    """Add ``periphery``: the whole picture at low resolution, uint8 [size, size, 3].

    Around a vector environment it makes a :class:`VectorObservation`. The CNN of
    Stable-Baselines3 needs at least 36 pixels.

    Raises:
        ValueError: ``size`` is below 1.
    """

    def __init__(self, env: Any, size: int = 64) -> None:
        super().__init__(env, size=size)

    @staticmethod
    def observer(task: TaskHolder, size: int) -> Observer:  # type: ignore[override]
        return observers.Periphery(size)


class SaliencyObservation(_Observing):
    """Add ``saliency``: a policy's map, float32 [rows, cols], scaled to 0…1 for each picture.

    ``policy`` is a :class:`saccade_env.core.HasMaps`, as every SaliencyPolicy is. Around a vector
    environment it makes a :class:`VectorObservation`.

    Raises:
        TypeError: The policy has no saliency map.
    """

    def __init__(self, env: Any, policy: HasMaps) -> None:
        super().__init__(env, policy=policy)

    @staticmethod
    def observer(task: TaskHolder, policy: HasMaps) -> Observer:  # type: ignore[override]
        return observers.Saliency(policy, task.config.grid)


class BeliefObservation(_Observing):
    """Add ``belief``: certainty, margin and ``top`` probabilities so far, float32 [2 + top].

    See :func:`saccade_env.observe.observers.belief`. Around a vector environment it makes a
    :class:`VectorObservation`.

    Raises:
        ValueError: ``top`` is below 1 or above the number of classes.
    """

    def __init__(self, env: Any, top: int = observers.BELIEF) -> None:
        super().__init__(env, top=top)

    @staticmethod
    def observer(task: TaskHolder, top: int) -> Observer:  # type: ignore[override]
        return observers.Belief(top, task.classifier.num_classes)


class EyeObservation(_Observing):
    """Add ``eye``: maps of what the classifier finds in a picture, float32 [maps, rows, cols].

    Anew at each saccade, for one more forward, unless it sees the whole image: see
    :class:`saccade_env.observe.eye.Eye`. Around a vector environment it makes a
    :class:`VectorObservation`.

    Raises:
        TypeError: The classifier is not convolutional.
        ValueError: There is no such eye.
    """

    def __init__(self, env: Any, sees: Sees = 64, shows: Sequence[str] = (ACTIVATION,)) -> None:
        super().__init__(env, sees=sees, shows=shows)

    @staticmethod
    def observer(  # type: ignore[override]
        task: TaskHolder, sees: Sees, shows: Sequence[str]
    ) -> Observer:
        return Eye(task.classifier, sees, shows)  # type: ignore[arg-type]


class VectorObservation(VectorWrapper):  # not generic before Gymnasium 1.3
    """Applies an observer to a :class:`saccade_env.SaccadeVectorEnv`."""

    def __init__(self, env: VectorEnv[Any, Any, Any], observer: Observer) -> None:
        super().__init__(env)
        self.observer = observer
        single = _space(observer, env, env.single_observation_space)
        self.single_observation_space = single
        self.observation_space = batch_space(single, env.num_envs)
        self._base: Any = env.unwrapped
        self._episodes = np.zeros(env.num_envs, np.int64)  # those whose pictures it took in

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, infos = self.env.reset(seed=seed, options=options)
        return self._observe(observation), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            self._observe_finals(np.flatnonzero(infos["_final_obs"]), infos["final_obs"])
        return self._observe(observation), reward, terminated, truncated, infos

    def action_masks(self) -> np.ndarray:
        """Passed through, for MaskablePPO."""
        return self._base.action_masks()

    def _observe(self, observation: Observation) -> Any:
        self._take_in_new_pictures()
        return self.observer(observation, self.observer.now(self._base.view, self._fixed))

    def _take_in_new_pictures(self) -> None:
        rows = np.flatnonzero(self._episodes != self._base.episodes)
        if len(rows) == self.num_envs:
            self._fixed = self.observer.fixed(self._base.images)
        elif len(rows):
            fresh = self.observer.fixed(self._base.images[rows])
            self._fixed = replace_rows(self._fixed, torch.from_numpy(rows), fresh)
        self._episodes = self._base.episodes

    def _observe_finals(self, rows: np.ndarray, finals: np.ndarray) -> None:
        """Observe what episodes ended on, which has their own picture."""
        places = torch.from_numpy(rows)
        own = take_rows(self._base.stepped, places)
        ended = self.observer.now(own, take_rows(self._fixed, places))
        for row, now in zip(rows, ended, strict=True):
            finals[row] = observe_one(self.observer, finals[row], now[None])


def show(env: Any, shown: list[Observer]) -> Any:
    """Apply observers to a vector environment, one after the other."""
    for observer in shown:
        env = VectorObservation(env, observer)
    return env


def _task_of(env: Any, wrapper: str) -> TaskHolder:
    if isinstance(env.unwrapped, TaskHolder):
        return env.unwrapped
    if isinstance(env, VectorEnv):
        raise TypeError(
            f"{wrapper} goes around a SaccadeVectorEnv; around each environment in a "
            f"{type(env.unwrapped).__name__}, as in "
            f"SyncVectorEnv([lambda: {wrapper}(gym.make('SaccadeImageNet-v0'))])"
        )
    raise TypeError(f"{wrapper} goes around a SaccadeEnv; got {env}")


def _space(observer: Observer, env: Any, below: Any) -> gym.Space[Any]:
    """The space of its observations, made of that of what it wraps."""
    task = env.unwrapped
    own = observation_space(task.config, task.patch_size)
    given = below.spaces if isinstance(below, gym.spaces.Dict) else {}
    changed = [key for key in observer.needs if given.get(key) != own[key]]
    if changed and task.observation == "compact":
        raise ValueError(
            f"{type(observer).__name__}Observation shows pixels, of which observation='compact' "
            "has none: make the environment with observation='tokens'"
        )
    if changed or not isinstance(below, gym.spaces.Dict):
        raise ValueError(
            f"{type(observer).__name__}Observation needs a Dict with {changed or 'parts'} as the "
            f"environment gives it, which a wrapper below has changed; put it inside of {env}"
        )
    return observer.space(below)
