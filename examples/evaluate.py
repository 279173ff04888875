"""Compare fixed policies on the shipped pictures, from Python.

python examples/evaluate.py
"""

from pathlib import Path

from saccade_env import SaccadeConfig, classifiers, evaluate, policies
from saccade_env.evaluation import report


def main(out: Path = Path("saccade-runs/example"), saccades: int = 10) -> None:
    classifier = classifiers.create("efficientnet_lite0")
    names = [
        name for name in ("random", "centre", "focus-saliency") if name in policies.available()
    ]
    result = evaluate(
        [policies.create(name, grid=classifier.grid) for name in names],
        images="sample",
        classifier=classifier,
        config=SaccadeConfig(max_saccades=saccades),
        out=out,
    )
    report.show(result.summary)
    last = result.records[result.records["saccade"] == saccades]
    print(last[["image", "policy", "prediction", "certainty", "visible_share"]].to_string())


if __name__ == "__main__":
    main()
