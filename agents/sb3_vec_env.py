"""The native vector environment as Stable-Baselines3's ``VecEnv``.

>>> from stable_baselines3 import PPO
>>> from saccade_env import SaccadeVectorEnv
>>> from saccade_env.agents import SB3VecEnv
>>> envs = SaccadeVectorEnv(8, "sample", "efficientnet_lite0")
>>> model = PPO("MultiInputPolicy", SB3VecEnv(envs))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from saccade_env.rows import take_rows

_SINGLE = {
    "action_space": "single_action_space",
    "observation_space": "single_observation_space",
}


class SB3VecEnv(VecEnv):
    """Wraps a :class:`saccade_env.SaccadeVectorEnv`, bare or in vector wrappers.

    Raises:
        ValueError: The environment does not reset finished rows in the same step.
    """

    def __init__(self, env: Any) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                "SB3VecEnv needs a vector env with AutoresetMode.SAME_STEP, the default of "
                f"SaccadeVectorEnv; got {mode}"
            )
        self.env: Any = env  # a VectorEnv, whose annotations know neither seeds nor frames a row
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = env.metadata

    def reset(self) -> Any:
        """Reset every row, with the seeds and options set before."""
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observation, infos = self.env.reset(seed=seeds, options=_merge(self._options))
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [_row(infos, row) for row in range(self.num_envs)]
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every row; a finished row's info holds ``terminal_observation``."""
        observation, rewards, terminated, truncated, infos = self.env.step(self._actions)
        rows, ended = [_row(infos, row) for row in range(self.num_envs)], terminated | truncated
        for row in np.flatnonzero(ended).tolist():
            self.reset_infos[row] = rows[row]
            final = _row(infos["final_info"], row)
            rows[row] = {**rows[row], **final, "terminal_observation": infos["final_obs"][row]}
        for row, info in enumerate(rows):
            info["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
        return observation, rewards.astype(np.float32), ended, rows

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of every row, as of a single environment."""
        rows, name = self._get_indices(indices), _SINGLE.get(attr_name, attr_name)
        value = getattr(self._holder(name), name)
        if name in ("images", "view"):
            return [take_rows(value, torch.tensor([row])) for row in rows]
        return [value[row] if name in ("np_random", "np_random_seed") else value for row in rows]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the shared environment; rows cannot differ."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError("rows share one environment: an attribute can only be set for all")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a batched method once and hand out its rows; ``reset`` is of these rows alone."""
        rows = list(self._get_indices(indices))
        if method_name == "reset":
            return self._reset_rows(rows, *method_args, **method_kwargs)
        result = getattr(self._holder(method_name), method_name)(*method_args, **method_kwargs)
        return [None if result is None else result[row] for row in rows]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether the vector environment is inside such a wrapper, once a row."""
        wrapped = any(isinstance(layer, wrapper_class) for layer in self._layers())
        return [wrapped for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame a row."""
        return list(self.env.render() or [])

    def _reset_rows(
        self, rows: list[int], seed: int | None = None, options: dict[str, Any] | None = None
    ) -> list[tuple[Any, dict[str, Any]]]:
        mask = np.isin(np.arange(self.num_envs), rows)
        seeds = None if seed is None else [seed] * self.num_envs
        observation, infos = self.env.reset(
            seed=seeds, options={**(options or {}), "reset_mask": mask}
        )
        batched = isinstance(observation, dict)
        return [
            (_row(observation, row) if batched else observation[row], _row(infos, row))
            for row in rows
        ]

    def _layers(self) -> list[Any]:
        layers: list[Any] = [self.env]
        while layers[-1] is not self.env.unwrapped:
            layers.append(layers[-1].env)
        return layers

    def _holder(self, name: str) -> Any:
        for layer in self._layers():
            if name in vars(layer) or hasattr(type(layer), name):
                return layer
        raise AttributeError(f"the environment has no attribute {name!r}")


def _row(infos: dict[str, Any], row: int) -> dict[str, Any]:
    """What Gymnasium's infos hold of one row: beside a key, ``_key`` may say which rows have it."""
    return {
        key: _row(value, row) if isinstance(value, dict) else value[row]
        for key, value in infos.items()
        if key not in ("final_obs", "final_info") and key[0] != "_"
        if f"_{key}" not in infos or infos[f"_{key}"][row]
    }


def _merge(options: list[dict[str, Any]]) -> dict[str, Any] | None:
    """SB3 keeps options a row; the vector environment takes one list a key."""
    keys = {key for row in options for key in row}
    return {key: [row.get(key) for row in options] for key in keys} or None
