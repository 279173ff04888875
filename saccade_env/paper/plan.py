"""How long the paper's experiments may take: a few forwards are timed, every run is estimated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saccade_env import core, images
from saccade_env.images import Preprocess
from saccade_env.paper.programme import Cast, Programme, Run
from saccade_env.paper.results import RUNS, finished

HEADS = ("run", "images", "tokens", "policies", "saccades", "forwards", "done", "left")
_PICTURES = 4  # of the sample, in a forward that is timed
_DECODING_S = 0.005  # an image


@dataclass(frozen=True)
class Line:
    """One run of the plan.

    Attributes:
        run: What is run.
        images: How many: those of this shard.
        forwards: Of the classifier, for all of them.
        seconds: Estimated, for all of them.
        done: How many are finished already.
    """

    run: Run
    images: int
    forwards: int
    seconds: float
    done: int = 0

    @property
    def seconds_an_image(self) -> float:
        """Estimated."""
        return self.seconds / max(self.images, 1)

    @property
    def seconds_left(self) -> float:
        """Estimated, without the images that are finished."""
        return self.seconds_an_image * (self.images - self.done)


def make_plan(built: Programme) -> list[Line]:
    """Time a few forwards and estimate every run that the figures asked for need."""
    folder, lines = Path(built.settings.out) / RUNS, []
    paid: dict[tuple[str, tuple[int, int]], int] = {}
    for run in built.needed(built.settings.experiments):
        blocks = built.shard(run).take(built.blocks(run))
        own = {run.source.id(i) for block in blocks for i in block}
        count = len(own)
        forwards = count * (len(run.policies) * run.config.max_saccades + 1)
        seconds = count * _DECODING_S + forwards * _forward_s(run)
        for policy in run.policies:  # maps are kept on disk: each is computed once
            key = policy, run.source.image_size
            fresh = max(0, count - paid.get(key, 0))
            paid[key] = max(count, paid.get(key, 0))
            seconds += fresh * _map_s(built.cast, policy, run)
        done = own & finished(folder / run.folder)
        lines.append(Line(run, count, forwards, seconds, len(done)))
    return lines


def show(plan: list[Line], notes: Iterable[str], console: Any) -> float:
    """Print the plan, the total, and what is left out; give the estimated seconds."""
    from saccade_env.drawing.text import table

    built = table("", *HEADS)
    for line in plan:
        run, (rows, cols) = line.run, line.run.config.grid
        counts = line.images, f"{rows}×{cols}", len(run.policies), run.config.max_saccades
        cells = (run.name, *counts, line.forwards, line.done, duration(line.seconds_left))
        built.add_row(*map(str, cells))
    console.print(built)
    left = sum(line.seconds_left for line in plan)
    console.print(f"about {duration(left)} left", highlight=False)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    return left


def _forward_s(run: Run) -> float:
    """Time of a classifier's forward, an image, with as much revealed as on average."""
    judge, (rows, cols) = run.judge, run.config.grid
    share = min(0.5, 4 * run.config.fovea**2 / (rows * cols))  # windows overlap
    revealed = torch.zeros(_PICTURES, rows, cols, dtype=torch.bool)
    revealed[:, : max(1, round(share * rows))] = True
    revealed = revealed.to(judge.device)
    memory = judge.begin(_pictures(run.source.image_size).to(judge.device))
    judge.classify(memory, revealed)  # the first is slow
    return _seconds(lambda: judge.classify(memory, revealed)[0].sum().item()) / _PICTURES


def _map_s(cast: Cast, name: str, run: Run) -> float:
    policy = cast.policy(name, run.config.grid)
    if not isinstance(policy, core.HasMaps):
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


def duration(seconds: float) -> str:
    """A time as text, in the unit that suits it."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
