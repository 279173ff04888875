"""Train an agent with PPO: it sees what is revealed, and the whole picture small.

All there is to set has `saccade-env train --help`.

python examples/train_ppo.py --timesteps 20000
tensorboard --logdir runs
"""

import argparse
from pathlib import Path

from saccade_env import SaccadeConfig, evaluate, images, policies
from saccade_env.agents.sb3_zip import load_sb3
from saccade_env.agents.train import Settings, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--images", default="sample", help="'sample' or a folder")
    parser.add_argument("--timesteps", type=int, default=20_000, help="saccades to train for")
    parser.add_argument("--num-envs", type=int, default=8, help="episodes side by side")
    parser.add_argument("--n-steps", type=int, default=40, help="saccades a row per update")
    parser.add_argument("--out", type=Path, default=Path("runs/ppo"), help="a new folder")
    options = parser.parse_args()

    # Certainty alone can be gamed by being surely wrong: it counts only while right.
    task = SaccadeConfig(max_saccades=5, reward="correct_certainty_gain")
    train(
        Settings(
            out=options.out,
            algo="ppo",
            images=options.images,
            classifier="efficientnet_lite0",
            config=task,
            timesteps=options.timesteps,
            n_envs=options.num_envs,
            hyperparameters={"n_steps": options.n_steps},
        )
    )
    # Most of these it has seen; evaluations.csv tells of those that were held back.
    agent, source = load_sb3(options.out, trust=True), images.create(options.images)
    rivals = [agent, policies.create("random")]
    result = evaluate(rivals, source, "efficientnet_lite0", task, limit=100)
    for name, found in result.summary["results"].items():
        print(f"{name:8}", *(f"{accuracy:.0%}" for accuracy in found["accuracy"]))
    print("saved to", options.out, "- curves: tensorboard --logdir", options.out)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
