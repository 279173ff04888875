"""Ray against one process; for a process of its own, so that none but it imports Ray."""

from __future__ import annotations

import time
from typing import Any

import torch

from saccade_env import evaluation, policies
from saccade_env.bench import subjects
from saccade_env.bench.subjects import Plan, Repeated
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.work import here

_WORKERS, _BATCHES, _ROWS = 2, 4, 16


def measure(plan: Plan, images: str | None) -> None:
    """Print a number a repeat: two workers' images a second ÷ those of one process, two threads.

    Both after start-up: once every worker has made a batch. Prints nothing where Ray is missing.
    """
    try:
        from saccade_env.scale import RayEngine

        engine = RayEngine(max_workers=_WORKERS)
    except ImportError:
        return
    torch.set_num_threads(_WORKERS)
    for _ in range(plan.repeats):
        alone, spread = (_rate(plan, images, one) for one in (here, engine))
        print(spread / alone)


def _rate(plan: Plan, images: str | None, engine: Any) -> float:
    """Scanpaths a second."""
    count = _ROWS * _WORKERS * (1 + _BATCHES)
    told: list[tuple[float, int]] = []
    evaluation.evaluate(
        [policies.create("centre")],
        Repeated(subjects.pictures(images), count),
        subjects.lite0("cpu"),
        SaccadeConfig(max_saccades=plan.cnn_saccades),
        batch_size=_ROWS,
        engine=engine,
        check_labels=False,
        progress=False,
        progressed=lambda made: told.append((time.perf_counter(), made)),
    )
    begun, *rest = told[_WORKERS - 1 :]
    return sum(made for _, made in rest) / (rest[-1][0] - begun[0])
