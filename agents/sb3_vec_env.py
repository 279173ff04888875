"""The native vector environment as Stable-Baselines3's ``VecEnv``.

>>> from stable_baselines3 import PPO
>>> from saccade_env import SaccadeVectorEnv
>>> from saccade_env.agents import SB3VecEnv
>>> model = PPO("MultiInputPolicy", SB3VecEnv(SaccadeVectorEnv(num_envs=8)))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env.base_vec_env import VecEnv


class SB3VecEnv(VecEnv):
    """Wraps a :class:`saccade_env.SaccadeVectorEnv`, bare or in vector wrappers.

    Raises:
        ValueError: The environment does not reset finished rows in the same step.
    """

    def __init__(self, env: Any) -> None:
        if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError("SB3VecEnv needs a vector env with AutoresetMode.SAME_STEP")
        self.env: Any = env  # a VectorEnv, whose annotations know neither seeds nor frames a row
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Reset every row, with the seeds and options set before."""
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observation, infos = self.env.reset(seed=seeds, options=_merge(self._options))
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = self._per_row(infos)
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every row; a finished row's info holds ``terminal_observation``."""
        observation, rewards, terminated, truncated, infos = self.env.step(self._actions)
        rows = self._per_row(infos)
        for row in np.flatnonzero(terminated | truncated).tolist():
            rows[row] = self._final_row(infos, row)
            rows[row]["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
        return observation, rewards.astype(np.float32), terminated | truncated, rows

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the shared environment, once a row."""
        if attr_name == "render_mode":
            return [self.render_mode for _ in self._get_indices(indices)]
        value = getattr(self._holder(attr_name), attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the shared environment; rows cannot differ."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError("rows share one environment: an attribute can only be set for all")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a batched method once and hand out its rows."""
        result = getattr(self._holder(method_name), method_name)(*method_args, **method_kwargs)
        return [result[row] for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether the vector environment is inside such a wrapper, once a row."""
        layers = self._layers()
        wrapped = any(isinstance(layer, wrapper_class) for layer in layers)
        return [wrapped for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame a row."""
        return list(self.env.render() or [])

    def _layers(self) -> list[Any]:
        layers: list[Any] = [self.env]
        while hasattr(layers[-1], "env"):
            layers.append(layers[-1].env)
        return layers

    def _holder(self, name: str) -> Any:
        for layer in self._layers():
            if name in vars(layer) or hasattr(type(layer), name):
                return layer
        raise AttributeError(f"the environment has no attribute {name!r}")

    def _per_row(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        keys = [key for key in infos if not key.startswith(("_", "final_"))]
        return [{key: infos[key][row] for key in keys} for row in range(self.num_envs)]

    def _final_row(self, infos: dict[str, Any], row: int) -> dict[str, Any]:
        final = infos["final_info"]
        info = {key: final[key][row] for key in final if not key.startswith("_")}
        return {**info, "terminal_observation": infos["final_obs"][row]}


def _merge(options: list[dict[str, Any]]) -> dict[str, Any] | None:
    """SB3 keeps options a row; the vector environment takes one list a key."""
    keys = {key for row in options for key in row}
    return {key: [row.get(key) for row in options] for key in keys} or None
