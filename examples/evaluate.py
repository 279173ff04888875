"""Compare fixed policies on the shipped pictures, from Python.

python examples/evaluate.py [LIMIT]
"""

import sys
from pathlib import Path

from saccade_env import SaccadeConfig, classifiers, evaluate, policies
from saccade_env.evaluation import report


def main(limit: int | None = None, out: Path = Path("saccade-runs/example")) -> None:
    classifier = classifiers.create("efficientnet_lite0")
    names = [
        name for name in ("random", "centre", "focus-saliency") if name in policies.available()
    ]
    result = evaluate(
        [policies.create(name, grid=classifier.grid) for name in names],
        images="sample",
        classifier=classifier,
        config=SaccadeConfig(max_saccades=10),
        limit=limit,
        out=out,
    )
    report.show(result.summary)
    last = result.records[result.records["saccade"] == 10]
    print(last[["image", "policy", "prediction", "certainty", "visible_share"]].to_string())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
