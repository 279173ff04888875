"""RLlib's PPO with masked actions, on one machine or many: train_rllib.py --help says how."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import ray
from gymnasium.spaces import Box, Dict
from gymnasium.wrappers.vector import TransformObservation
from ray.rllib.algorithms import PPOConfig
from ray.rllib.core.rl_module import RLModuleSpec, apis
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from saccade_env import PeripheryObservation, SaccadeVectorEnv


def make_env(task: Any) -> Any:  # the episodes of one env runner, begun where it runs
    own = {name: task[name] for name in ("num_envs", "images", "classifier")}
    env = SaccadeVectorEnv(**own, reward="correct_certainty_gain", autoreset_mode="NextStep")
    grid = env.config.grid

    def show(seen: Any) -> Any:  # a pixel a token: a small network cannot read its 768 values
        planes = *np.moveaxis(seen["periphery"] / 255, 3, 0), seen["revealed"].reshape(-1, *grid)
        return {"mask": np.float32(env.action_masks()), "planes": np.float32(np.stack(planes, 1))}

    space = Dict(mask=Box(0, 1, (env.config.num_tokens,)), planes=Box(0, 1, (4, *grid)))
    return TransformObservation(PeripheryObservation(env, size=grid[0]), show, None, space)


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
    ray.tune.register_env("saccades", make_env)
    config = PPOConfig().environment("saccades", env_config=vars(options))
    config.env_runners(num_env_runners=options.num_env_runners, num_envs_per_env_runner=8,
                       gym_env_vectorize_mode="vector_entry_point")  # fmt: skip
    config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=8, lr=1e-3)
    algo = config.rl_module(rl_module_spec=RLModuleSpec(Network)).build_algo()
    for i in range(options.iterations):
        print(f"iteration {i}: return {algo.train()['env_runners']['episode_return_mean']:.3f}")
    print("saved to", algo.save_to_path(options.out.resolve()))


if __name__ == "__main__":
    main()
