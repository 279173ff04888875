"""Train with RLlib's PPO, on one machine or many; actions that reveal nothing new are masked.

python examples/train_rllib.py --iterations 50 --num-env-runners 2
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.wrappers.vector import TransformObservation
from torch import nn

from saccade_env import PeripheryObservation, SaccadeVectorEnv

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported
import ray
from ray.rllib.algorithms import PPOConfig
from ray.rllib.core.rl_module import RLModuleSpec, apis
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune import register_env

TASK: Any = {"max_saccades": 5, "reward": "correct_certainty_gain", "autoreset_mode": "NextStep"}


def make_env(config: Any) -> Any:
    """The episodes of one env runner, begun where it runs."""
    env = SaccadeVectorEnv(**config, **TASK)
    grid = env.config.grid

    def show(seen: Any) -> Any:  # a pixel a token: a small network cannot read its 768 values
        planes = *np.moveaxis(seen["periphery"] / 255, 3, 0), seen["revealed"].reshape(-1, *grid)
        return {"mask": np.float32(env.action_masks()), "planes": np.float32(np.stack(planes, 1))}

    space = Dict(mask=Box(0, 1, (env.config.num_tokens,)), planes=Box(0, 1, (4, *grid)))
    small = PeripheryObservation(env, size=grid[0])
    return TransformObservation(small, show, single_observation_space=space)


class Network(TorchRLModule, apis.ValueFunctionAPI):
    """A logit for every cell, and a value."""

    def setup(self) -> None:
        layers = nn.Conv2d(4, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 2, 5, padding=2)
        self.both = nn.Sequential(*layers, nn.Flatten(2))

    def _forward(self, batch: Any, **_: Any) -> Any:
        logits, mask = self.both(batch["obs"]["planes"])[:, 0], batch["obs"]["mask"]
        return {"action_dist_inputs": logits.masked_fill(mask == 0, -1e30)}  # probability 0

    def compute_values(self, batch: Any, embeddings: Any = None) -> Any:
        return self.both(batch["obs"]["planes"])[:, 1].mean(-1)


def note(episode: Any, metrics_logger: Any, **_: Any) -> None:
    metrics_logger.log_value("accuracy", float(episode.get_infos(-1)["correct"]), window=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="sample")
    parser.add_argument("--classifier", default="efficientnet_lite0")
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--num-env-runners", type=int, default=2)
    parser.add_argument("--address", help="of a Ray cluster, as 'auto'; else Ray starts here")
    parser.add_argument("--out", type=Path, default=Path("runs/rllib"))
    options = parser.parse_args()
    ray.init(options.address, include_dashboard=False)
    register_env("saccades", make_env)
    settings = {"images": options.images, "classifier": options.classifier}
    config = PPOConfig().environment("saccades", env_config=settings).callbacks(on_episode_end=note)
    config.env_runners(num_env_runners=options.num_env_runners, num_envs_per_env_runner=8,
                       gym_env_vectorize_mode="vector_entry_point")  # fmt: skip
    config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=8, lr=1e-3)
    algo = config.rl_module(rl_module_spec=RLModuleSpec(Network)).build_algo()
    for iteration in range(options.iterations):
        found = algo.train()["env_runners"]
        reached = f"return {found['episode_return_mean']:.3f}, accuracy {found['accuracy']:.0%}"
        print(f"iteration {iteration}: {reached}", flush=True)
    print("saved to", algo.save_to_path(options.out.resolve()))
    algo.stop()


if __name__ == "__main__":
    main()
