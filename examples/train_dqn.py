"""Train an agent with DQN, whose replay buffer holds which picture and where it looked.

What it saw is made of that again for every batch: see docs/replay.md.

python examples/train_dqn.py --timesteps 20000
"""

import argparse
import timeit
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import VecMonitor

from saccade_env import SaccadeConfig, SaccadeVectorEnv, evaluate, policies
from saccade_env.agents import AgentPolicy, PatchCache, SB3VecEnv
from saccade_env.agents.files import save_agent
from saccade_env.agents.observation import Observing
from saccade_env.agents.sb3_policies import Sb3Network, policy_class

NOTHING_ELSE = {"periphery": 0, "prior": None, "belief": 0, "eye": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--images", default="sample", help="'sample' or a folder")
    parser.add_argument("--observation", default="compact", choices=("compact", "tokens"))
    parser.add_argument("--timesteps", type=int, default=20_000, help="saccades to train for")
    parser.add_argument("--num-envs", type=int, default=8, help="episodes side by side")
    parser.add_argument("--buffer-size", type=int, default=100_000, help="saccades to replay")
    parser.add_argument("--megabytes", type=float, default=512, help="of pictures in memory")
    parser.add_argument("--limit", type=int, default=100, help="pictures to compare on")
    parser.add_argument("--out", type=Path, default=Path("runs/dqn"), help="the agent's folder")
    options = parser.parse_args()

    envs = SaccadeVectorEnv(
        options.num_envs,
        options.images,
        "efficientnet_lite0",
        max_saccades=5,
        reward="correct_certainty_gain",
        observation=options.observation,
    )
    policy, keywords = policy_class("dqn")
    if options.observation == "compact":
        pictures = PatchCache(envs.source, envs.patch_size, options.megabytes)
        keywords["features_extractor_kwargs"]["pictures"] = pictures
    model = DQN(
        policy,
        VecMonitor(SB3VecEnv(envs)),
        buffer_size=options.buffer_size,
        learning_starts=min(500, options.timesteps // 2),
        batch_size=64,
        gamma=0.95,
        gradient_steps=2,
        policy_kwargs=keywords,
        seed=0,
        device="cpu",
    )
    model.learn(options.timesteps)
    tell_cost(model)

    agent = Sb3Network(model)
    print("saved to", save_agent(agent.net, options.out, "dqn", NOTHING_ELSE))
    observing = Observing(envs.config.grid, envs.patch_size)
    rivals = [AgentPolicy(agent, observing, "dqn"), policies.create("random")]
    task = SaccadeConfig(max_saccades=5)
    result = evaluate(rivals, envs.source, "efficientnet_lite0", task, limit=options.limit)
    for name, found in result.summary["results"].items():
        print(f"{name:8}", *(f"{accuracy:.0%}" for accuracy in found["accuracy"]))
    envs.close()


def tell_cost(model: DQN) -> None:
    buffer: Any = model.replay_buffer
    shown = [*buffer.observations.values()]
    kept = [part for part in vars(buffer).values() if isinstance(part, np.ndarray)]
    steps = buffer.buffer_size * buffer.n_envs
    a_step = sum(part.nbytes for part in [*shown, *shown, *kept]) / steps  # and the next one's
    taken = min(
        timeit.repeat(
            lambda: model.train(1, model.batch_size), timer=process_time, repeat=5, number=1
        )
    )
    print(f"an observation: {sum(part.nbytes for part in shown) / steps:,.0f} bytes")
    print(f"100,000 steps of replay: {a_step / 10:,.1f} MB")
    print(f"a gradient step on {model.batch_size} of them: {taken * 1000:.0f} ms of processor time")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
