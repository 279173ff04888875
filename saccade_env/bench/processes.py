"""Lines about whole evaluations and processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from saccade_env import classifiers, evaluation
from saccade_env.bench import subjects
from saccade_env.bench.subjects import Plan, Ratios, Repeated, seconds
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.images import ImageSource

_GROW = "from saccade_env.bench import processes; processes.grow"
_OWN = (
    "from saccade_env.bench import ray_rate, rllib; from saccade_env.bench.subjects import Plan; "
)


def imports(plan: Plan, images: str | None) -> Ratios:
    """Importing the package, against importing what it stands on."""
    for _ in range(plan.repeats + 1):
        below = seconds(_python, "import gymnasium, torch")
        yield {"import": seconds(_python, "import saccade_env") / below}


def rllib(plan: Plan, images: str | None) -> Ratios:
    """RLlib's env runner with a trivial network, against the same actions without it."""
    for ratio in _python(f"{_OWN}rllib.collect({plan!r}, {images!r})").split():
        yield {"RLlib": float(ratio)}


def ray(plan: Plan, images: str | None) -> Ratios:
    """An evaluation by two of Ray's workers, against one with two threads."""
    for ratio in _python(f"{_OWN}ray_rate.measure({plan!r}, {images!r})").split():
        yield {"Ray": float(ratio)}


def page(plan: Plan, images: str | None) -> Ratios:
    """How soon the page shows the scanpath of a first picture, and of a second one."""
    for _ in range(plan.repeats):
        shown = _python("from saccade_env.bench import page; page.measure()").split()
        names = ("page, first picture (s)", "page, second picture (s)")
        yield {name: float(time) for name, time in zip(names, shown, strict=False)}


def feeding(plan: Plan, images: str | None) -> Ratios:
    """An evaluation that decodes files, against decoded pictures; and shards and tables."""
    source, judge = subjects.pictures(images), subjects.lite0(plan.device)
    held = Repeated(source, plan.fed, decoded=True)
    _evaluate(Repeated(source, 8), judge, 1)
    with tempfile.TemporaryDirectory() as folder:
        kept = subjects.kept_otherwise(source, min(plan.fed, len(source)), Path(folder))
        for _ in range(plan.repeats):
            from_memory, files, *others = (
                seconds(_evaluate, fed, judge, plan.saccades, device=plan.device)
                for fed in (held, *(Repeated(one, plan.fed) for one in (source, *kept.values())))
            )
            ratios = [time / files for time in others]
            names = [f"feeding, {name}" for name in kept]
            yield {"feeding": files / from_memory, **dict(zip(names, ratios, strict=True))}


def growth(plan: Plan, images: str | None) -> Ratios:
    """Time per image and peak memory of many images, against few; each in a new process."""
    few, many = plan.growth
    what = f"{plan.growth_classifier!r}, {images!r}, {plan.device!r}"
    for _ in range(plan.growth_repeats):
        (fast, small), (slow, large) = (
            map(float, _python(f"{_GROW}({count}, {what})").split()) for count in (few, many)
        )
        yield {"growth, time": (slow / many) / (fast / few), "growth, memory": large / small}


def grow(count: int, classifier: str, images: str | None, device: str) -> None:
    """Evaluate ``count`` images; print seconds and the peak memory of this process."""
    import resource

    null = classifier == "null"
    judge = subjects.NullClassifier() if null else classifiers.create(classifier, device=device)
    source = subjects.pictures(images)
    _evaluate(Repeated(source, 8), judge, 1)  # what comes once is not growth
    many, saccades = Repeated(source, count), 10 if null else 1
    time = seconds(_evaluate, many, judge, saccades, device=judge.device)
    print(time, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _evaluate(source: ImageSource, judge: Classifier, saccades: int) -> None:
    config = SaccadeConfig(max_saccades=saccades)
    how: Any = {"batch_size": 8, "progress": False, "check_labels": False}
    evaluation.evaluate([subjects.Sweep()], source, judge, config, **how)


def _python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a process of the benchmark failed: {done.stderr[-2000:]}")
    return done.stdout
