"""RLlib's env runner; for a process of its own, so that none but it imports Ray."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorWrapper

from saccade_env import SaccadeVectorEnv
from saccade_env.bench import subjects
from saccade_env.bench.subjects import Plan, seconds

_EPISODES = 2  # a row and repeat, so that one begins within


class _Noting(VectorWrapper):
    """Notes the actions of every step."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.actions: list[np.ndarray] = []

    def step(self, actions: Any) -> Any:
        self.actions.append(np.array(actions))
        return self.env.step(actions)


def collect(plan: Plan, images: str | None) -> None:
    """Print a number a repeat: time of the bare steps ÷ time in which RLlib samples the same.

    Prints nothing where RLlib is not installed. The env runner is what a cluster would have in one
    of its processes; no cluster is started for it.
    """
    try:
        runner = _runner(plan, images)
    except ImportError:
        return
    env, noting = runner.env.unwrapped, _Noting(runner.env)
    runner.env = noting
    steps = plan.rows * plan.cnn_saccades * _EPISODES
    for repeat in range(plan.repeats + 1):
        noting.actions.clear()
        sampled = seconds(
            lambda: runner.sample(num_timesteps=steps, force_reset=True), device=plan.device
        )
        bare = seconds(lambda: [env.reset(), *map(env.step, noting.actions)], device=plan.device)
        if repeat:  # the first warms up
            print(bare / sampled)
    runner.stop()


def _runner(plan: Plan, images: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module import RLModuleSpec
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    def make(_: Any) -> SaccadeVectorEnv:
        return SaccadeVectorEnv(
            plan.rows,
            images=subjects.pictures(images),
            classifier=subjects.lite0(plan.device),
            autoreset_mode=AutoresetMode.NEXT_STEP,
            max_saccades=plan.cnn_saccades,
        )

    config = (
        PPOConfig()
        .environment(make)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=plan.rows,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=_trivial()))
    )
    return SingleAgentEnvRunner(config=config)


def _trivial() -> Any:
    """A class of networks that read next to nothing, as the line "SB3" has one."""
    from ray.rllib.core.rl_module.torch import TorchRLModule
    from torch import nn

    class Trivial(TorchRLModule):
        def setup(self) -> None:
            space: Any = self.action_space
            self.layer = nn.Linear(1, int(space.n))

        def _forward(self, batch: Any, **_: Any) -> Any:
            share = batch["obs"]["revealed"].float().mean(-1, keepdim=True)
            return {"action_dist_inputs": self.layer(share)}

    return Trivial
