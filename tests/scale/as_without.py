"""Train and reproduce with Ray and without, in one process, so that Ray starts once.

python as_without.py FOLDER
"""

import sys
from pathlib import Path

from typer.testing import CliRunner

from saccade_env import cli

COMMON = ["--images", "sample", "--classifier", "efficientnet_lite0"]
TRAIN = [
    "train", *COMMON, "--timesteps", "8", "--n-envs", "2", "--saccades", "3",
    "--warm-start", "greedy-oracle", "--warm-start-steps", "12", "--set", "warm-start.asked=0.5",
    "--set", "n_steps=4", "--set", "batch_size=8",
]  # fmt: skip
PAPER = [
    "paper", *COMMON, "--limit", "4", "--only", "3", "--policies", "random", "--policies", "centre"
]  # fmt: skip


def main(folder: Path) -> None:
    for call in (TRAIN, PAPER):
        for name, engine in (("plain", []), ("ray", ["--engine", "ray"])):
            out = str(folder / call[0] / name)
            CliRunner().invoke(cli.app, [*call, *engine, "--out", out], catch_exceptions=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
