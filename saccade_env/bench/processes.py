"""Lines about whole evaluations and processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saccade_env import classifiers, evaluation
from saccade_env.bench import subjects
from saccade_env.bench.subjects import Repeated, Sweep, seconds
from saccade_env.config import SaccadeConfig

if TYPE_CHECKING:
    from saccade_env.bench.lines import Plan

Ratios = Iterator[dict[str, float]]


def imports(plan: Plan) -> Ratios:
    """Importing the package, against importing what it stands on."""
    for _ in range(plan.repeats + 1):
        below = seconds(lambda: _python("import gymnasium, torch"))
        yield {"import": seconds(lambda: _python("import saccade_env")) / below}


def feeding(plan: Plan, images: str | None) -> Ratios:
    """An evaluation that decodes files, against one with decoded pictures in memory."""
    source, judge = subjects.pictures(images), classifiers.create("efficientnet_lite0")
    files, held = (Repeated(source, plan.fed, decoded) for decoded in (False, True))
    _evaluate(Repeated(source, 8), judge, 1)
    for _ in range(plan.repeats):
        from_memory = seconds(lambda: _evaluate(held, judge, plan.saccades))
        yield {"feeding": seconds(lambda: _evaluate(files, judge, plan.saccades)) / from_memory}


def growth(plan: Plan, images: str | None) -> Ratios:
    """Time per image and peak memory of many images, against few; each in a new process."""
    few, many = plan.growth
    for _ in range(plan.growth_repeats):
        small, large = (_grown(count, plan.growth_classifier, images) for count in plan.growth)
        yield {
            "growth, time": (large[0] / many) / (small[0] / few),
            "growth, memory": large[1] / small[1],
        }


def _evaluate(source: Any, judge: Any, saccades: int) -> None:
    evaluation.evaluate(
        [Sweep()], source, judge, SaccadeConfig(max_saccades=saccades), batch_size=8, progress=False
    )


def _grown(count: int, classifier: str, images: str | None) -> tuple[float, float]:
    script = f"from saccade_env.bench import processes; processes.grow({count}, {classifier!r}, "
    time, memory = _python(f"{script}{images!r})").split()
    return float(time), float(memory)


def grow(count: int, classifier: str, images: str | None) -> None:
    """Evaluate ``count`` images; print seconds and the peak memory of this process."""
    import resource

    null = classifier == "null"
    judge: Any = subjects.NullClassifier() if null else classifiers.create(classifier)
    source = subjects.pictures(images)
    _evaluate(Repeated(source, 8), judge, 1)  # what comes once is not growth
    time = seconds(lambda: _evaluate(Repeated(source, count), judge, 10 if null else 1))
    print(time, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a process of the benchmark failed: {done.stderr[-2000:]}")
    return done.stdout
