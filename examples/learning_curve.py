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
    table = pd.DataFrame({"accuracy": interval(seeds), "gained": interval(seeds - seeds.iloc[0])})
    print("mean of the seeds and its 95 % interval, in %", table, sep="\n")

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axes.plot(seeds.index, seeds, color="0.7", linewidth=1)
    mean = seeds.mean(axis=1)
    axes.plot(mean.index, mean, marker="o", label=f"mean of {len(runs)} seeds")
    for number, level in enumerate(options.level):
        name, _, value = level.partition("=")
        axes.axhline(100 * float(value), color=f"C{number + 1}", linestyle="--", label=name)
    axes.set(xlabel="saccades learned from", ylabel="accuracy, mean over saccades (%)")
    axes.legend(loc="lower right")
    figure.savefig(options.out, dpi=130)
    print("wrote", options.out)


def interval(seeds: pd.DataFrame) -> pd.Series:
    """Mean, low and high by Student's t, in words; without an end for one seed."""
    count = len(seeds.columns)
    half = stats.t.ppf(0.975, count - 1) * seeds.std(axis=1) / count**0.5
    ends = zip(seeds.mean(axis=1), half, strict=True)
    return pd.Series([f"{m:.1f} ({m - h:.1f} to {m + h:.1f})" for m, h in ends], seeds.index)


if __name__ == "__main__":
    main()
