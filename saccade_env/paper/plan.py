"""What is going to be run and about how long it takes, from a few forwards on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from saccade_env import images
from saccade_env.images import Preprocess
from saccade_env.paper.cast import Cast
from saccade_env.paper.experiments import Programme, Run
from saccade_env.paper.stored import RUNS, finished

HEADS = ("run", "images", "tokens", "policies", "saccades", "forwards", "done", "left")
_PICTURES = 4  # of the sample, in a forward that is timed
_DECODING_S = 0.005  # an image


@dataclass(frozen=True)
class Line:
    """One run of the plan.

    Attributes:
        run: What is run.
        saccades: Saccades an image and policy; 0 where nothing is classified.
        forwards: Of the classifier, for all images.
        seconds: Estimated, for all images.
        done: Images finished already.
    """

    run: Run
    saccades: int
    forwards: int
    seconds: float
    done: int = 0

    @property
    def seconds_an_image(self) -> float:
        """Estimated."""
        return self.seconds / len(self.run.source)

    @property
    def seconds_left(self) -> float:
        """Estimated, without the images that are finished."""
        return self.seconds_an_image * (len(self.run.source) - self.done)


@dataclass(frozen=True)
class Plan:
    """All runs that are going to be made; ``notes`` say what is left out, and why."""

    lines: list[Line]
    notes: list[str]

    @property
    def seconds_left(self) -> float:
        """Estimated, of the whole plan."""
        return sum(line.seconds_left for line in self.lines)

    def table(self) -> pd.DataFrame:
        """One row a run, as plain data."""
        return pd.DataFrame([_row(line) for line in self.lines], columns=HEADS)

    def show(self, console: Any) -> None:
        """Print the table, the total, and what is left out."""
        from saccade_env.drawing.text import table

        built = table("", *HEADS)
        for row in self.table().itertuples(index=False):
            built.add_row(*map(str, row))
        console.print(built)
        console.print(f"about {_duration(self.seconds_left)} left", highlight=False)
        for note in self.notes:
            console.print(f"note: {note}", highlight=False, markup=False)


def make_plan(programme: Programme) -> Plan:
    """Time a few forwards and estimate every run that the figures asked for need."""
    folder, paid = Path(programme.settings.out) / RUNS, {}  # type: ignore[var-annotated]
    lines = []
    for run in programme.chosen:
        count, saccades = len(run.source), _saccades(programme, run)
        forwards = count * (len(run.policies) * saccades + (run.kind == "evaluation"))
        seconds = count * _DECODING_S + forwards * _forward_s(programme.cast, run)
        for policy in run.policies:  # maps are kept on disk: each is computed once
            key = policy, run.source.image_size
            fresh = max(0, count - paid.get(key, 0))
            paid[key] = max(count, paid.get(key, 0))
            seconds += fresh * _map_s(programme.cast, policy, run)
        lines.append(Line(run, saccades, forwards, seconds, finished(folder / run.folder)))
    return Plan(lines, list(programme.cast.notes))


def _saccades(programme: Programme, run: Run) -> int:
    return {"evaluation": programme.settings.saccades, "crops": 1, "entropies": 0}[run.kind]


def _forward_s(cast: Cast, run: Run) -> float:
    """Time of a classifier's forward, an image, with as much revealed as on average."""
    if run.kind == "entropies":
        return 0.0
    size = (224, 224) if run.kind == "crops" else run.source.image_size
    judge: Any = cast.cropper if run.kind == "crops" else cast.judge(size)
    rows, cols = judge.grid
    share = min(0.5, 4 * run.fovea**2 / (rows * cols))  # windows overlap
    revealed = torch.zeros(_PICTURES, rows, cols, dtype=torch.bool)
    revealed[:, : max(1, round(share * rows))] = True
    revealed = revealed.to(getattr(judge, "device", "cpu"))
    memory = judge.begin(_pictures(size).to(revealed.device))
    judge.classify(memory, revealed)  # the first is slow
    return _seconds(lambda: judge.classify(memory, revealed)[0].sum().item()) / _PICTURES


def _map_s(cast: Cast, name: str, run: Run) -> float:
    policy = cast.policy(name, run.grid)
    if not hasattr(policy, "saliency_map"):
        return 0.0
    pixels = _pictures(run.source.image_size)[:2]
    return _seconds(lambda: policy.saliency_map(pixels).sum().item()) / len(pixels)


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@lru_cache(maxsize=4)
def _pictures(image_size: tuple[int, int]) -> Tensor:
    source = images.create("sample", Preprocess(image_size, mode="squash"))
    return images.load_batch(source, range(_PICTURES))[0]


def _row(line: Line) -> tuple[Any, ...]:
    run, (rows, cols) = line.run, line.run.grid
    counts = len(run.source), f"{rows}×{cols}", len(run.policies), line.saccades, line.forwards
    return (run.name, *counts, line.done, _duration(line.seconds_left))


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
