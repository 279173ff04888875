"""Train an agent with PPO: it sees the revealed image, and learns where to look next.

python examples/train_ppo.py --timesteps 20000
tensorboard --logdir runs
"""

import argparse
from pathlib import Path

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from saccade_env import ImageObservation, SaccadeVectorEnv
from saccade_env.agents import SB3VecEnv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--images", default="sample", help="'sample' or a folder")
    parser.add_argument("--timesteps", type=int, default=20_000, help="saccades to train for")
    parser.add_argument("--num-envs", type=int, default=8, help="episodes side by side")
    parser.add_argument("--n-steps", type=int, default=32, help="saccades a row per update")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="logs and the model")
    options = parser.parse_args()

    env = SaccadeVectorEnv(
        options.num_envs,
        images=options.images,
        classifier="efficientnet_lite0",
        # Certainty alone can be gamed by being surely wrong: it counts only while right.
        reward="correct_certainty_gain",
        max_saccades=5,
    )
    model = PPO(
        "CnnPolicy",
        VecMonitor(SB3VecEnv(ImageObservation(env))),
        n_steps=options.n_steps,
        batch_size=64,
        seed=0,
        tensorboard_log=str(options.out),
    )
    model.learn(options.timesteps, progress_bar=True)
    model.save(options.out / "ppo")
    print("model saved to", options.out / "ppo.zip", "- curves: tensorboard --logdir", options.out)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
