"""Draw how trainings learned: accuracy on the held-back pictures, the mean of several seeds.

python examples/learning_curve.py runs/seed-0 runs/seed-1 runs/seed-2 --level centre=0.355
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from scipy import stats


def main() -> None:
    as_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_is)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of `saccade-env train`")
    parser.add_argument("--level", action="append", default=[], help="name=accuracy, to compare")
    parser.add_argument("--out", type=Path, default=Path("learning.png"))
    options = parser.parse_args()

    runs = [pd.read_csv(run / "evaluations.csv", index_col="timesteps") for run in options.runs]
    seeds = pd.concat([100 * run["accuracy"] for run in runs], axis=1, keys=options.runs)
    mean, count = seeds.mean(axis=1), seeds.count(axis=1)
    half = stats.t.ppf(0.975, count - 1) * seeds.std(axis=1) / count**0.5  # NaN of one seed
    print(pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half}).round(1))

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axes.plot(seeds.index, seeds, color="0.7", linewidth=1)
    axes.fill_between(mean.index, mean - half, mean + half, alpha=0.2)
    axes.plot(mean.index, mean, marker="o", label=f"mean of {len(runs)}, 95 % interval")
    for number, level in enumerate(options.level):
        name, _, value = level.partition("=")
        axes.axhline(100 * float(value), color=f"C{number + 1}", linestyle="--", label=name)
    axes.set(xlabel="saccades learned from", ylabel="accuracy, mean over saccades (%)")
    axes.legend(loc="lower right")
    figure.savefig(options.out, dpi=130)
    print("wrote", options.out)


if __name__ == "__main__":
    main()
