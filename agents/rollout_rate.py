"""How fast Stable-Baselines3 collects rollouts: a line of ``saccade-env bench``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from saccade_env.agents.sb3_vec_env import SB3VecEnv
from saccade_env.classifiers.runtime import wait_for


class _Trivial(BaseFeaturesExtractor):
    def __init__(self, space: Any) -> None:
        super().__init__(space, features_dim=1)

    def forward(self, observation: Any) -> torch.Tensor:
        return observation["revealed"].mean(-1, keepdim=True)


def ppo_collector(env: Any, steps: int) -> Callable[[], tuple[float, np.ndarray]]:
    """PPO with a trivial policy network on a vector environment.

    Returns:
        A function that collects one rollout from ``reset(seed=0)`` and gives its wall time in
        seconds and the actions, int64 [steps, rows].
    """
    keywords = {"features_extractor_class": _Trivial, "net_arch": []}
    model: Any = PPO(
        "MultiInputPolicy", SB3VecEnv(env), n_steps=steps, batch_size=steps * env.num_envs,
        policy_kwargs=keywords, device="cpu",
    )  # fmt: skip

    def collect() -> tuple[float, np.ndarray]:
        model.env.seed(0)
        model._last_obs = None  # so that it resets
        _, callback = model._setup_learn(10**9, CallbackList([]))
        wait_for(env.classifier.device)
        start = time.perf_counter()
        model.collect_rollouts(model.env, callback, model.rollout_buffer, steps)
        wait_for(env.classifier.device)
        elapsed = time.perf_counter() - start
        return elapsed, model.rollout_buffer.actions[..., 0].astype(np.int64)

    return collect
