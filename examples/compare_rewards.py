"""What each reward leads to: how far greed gets with it, and a short training.

Greed tries fixations before each saccade and takes the one that earns most; it learns nothing, so
that it shows what the reward asks for. Writes rewards.csv and rewards.png.

python examples/compare_rewards.py --images PATH/TO/imagenet/train
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env import SaccadeConfig, classifiers, evaluate, images, policies
from saccade_env.agents.train import Settings, train
from saccade_env.core import REWARDS
from saccade_env.drawing import style


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", default="sample", help="'sample' or a labelled folder")
    parser.add_argument("--limit", type=int, default=64, help="images for greed")
    parser.add_argument("--stride", type=int, default=3, help="greed tries every n-th row, column")
    parser.add_argument("--timesteps", type=int, default=8000, help="saccades to train for")
    parser.add_argument("--n-steps", type=int, default=20, help="saccades a row per update")
    parser.add_argument("--saccades", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/rewards"))
    options = parser.parse_args()
    source, judge = images.create(options.images), classifiers.create("efficientnet_lite0")

    oracles = {kind: policies.create("greedy-oracle", target=kind, stride=options.stride)
               for kind in REWARDS}  # fmt: skip
    greedy = evaluate(
        oracles, source, judge, SaccadeConfig(max_saccades=options.saccades), limit=options.limit,
        out=options.out / "greedy",
    ).summary["results"]  # fmt: skip
    rows = []
    for kind in REWARDS:
        trained = short_training(kind, source, judge, options)
        rows.append({"reward": kind, "greedy accuracy": greedy[kind]["accuracy"][-1],
                     "greedy certainty": greedy[kind]["certainty"][-1], **trained})  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "rewards.csv", index=False)
    draw(table, options.out / "rewards.png")
    print(table.round(3).to_string(index=False))


def short_training(kind: Any, source: Any, judge: Any, options: Any) -> dict[str, float]:
    """Accuracy and certainty on held-back pictures, means over the saccades, before and after."""
    out = options.out / kind
    task = SaccadeConfig(max_saccades=options.saccades, reward=kind)
    train(
        Settings(
            out=out, images=source, classifier=judge, config=task, augment=True,
            periphery=0, eye=64, eye_shows=("features",), n_envs=16, timesteps=options.timesteps,
            eval_every=options.timesteps, save_every=options.timesteps,
            hyperparameters={
                "n_steps": options.n_steps, "learning_rate": 1e-3, "ent_coef": 0.003,
                "gamma": 0.0, "gae_lambda": 0.0, "network.embedding": 0, "network.channels": 16,
                "network.blocks": 1,
            },
        ),
        resume=(out / "checkpoint.pt").exists(),
    )  # fmt: skip
    curve = pd.read_csv(out / "evaluations.csv")
    names = {
        f"{key} {when}": (key, place)
        for key in ("accuracy", "certainty")
        for when, place in (("before", 0), ("after", -1))
    }
    return {name: curve[key].iloc[place] for name, (key, place) in names.items()}  # fmt: skip


def draw(table: pd.DataFrame, path: Path) -> None:
    figure = style.figure(10, 4)
    left, right = figure.subplots(1, 2, sharey=True)
    titles = "Greed, at the last saccade", "Short training, mean over saccades"
    for axes, title, names in zip((left, right), titles, ("greedy {}", "{} after"), strict=True):
        for shift, what, look in ((-0.2, "certainty", 5), (0.2, "accuracy", 0)):
            at, colour = [place + shift for place in range(len(table))], style.LOOKS[look]["color"]
            axes.barh(at, 100 * table[names.format(what)], 0.4, color=colour, label=f"{what} (%)")
        rewards = {"yticks": range(len(table)), "yticklabels": table["reward"]}
        style.dress(axes, title, "per cent", "", xlim=(0, 100), **rewards)
    left.invert_yaxis()
    right.legend(loc="lower right")
    style.save(figure, path)


if __name__ == "__main__":
    main()
