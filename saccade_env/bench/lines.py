"""The lines of the benchmark: what each is, what it should be, and all of them measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm.auto import tqdm

from saccade_env.bench import environments, processes
from saccade_env.bench.subjects import Plan, Ratios


@dataclass(frozen=True)
class Line:
    """One line: a ratio a repeat, and what it should be.

    ``target`` is None for a plain number; ``at_least`` tells ≥ from ≤.
    """

    name: str
    meaning: str
    target: float | None
    at_least: bool = True
    ratios: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


_BARE = "bare forwards on the same token sets ÷ vector env"
_PRESS = "seconds from pressing Watch to a scanpath of focus-saliency, EfficientNet-Lite0"
LINES = (
    Line("efficiency dino_vits16", _BARE, 0.95),
    Line("efficiency efficientnet_lite0", _BARE, 0.95),
    Line("forward", "ONNX Runtime as it comes ÷ our EfficientNet-Lite0, batch of 32", 0.9),
    Line("forward against eager", "eager torch ÷ our EfficientNet-Lite0, batch of 32", 1.8),
    Line("against naive", "loop over images, revealed tokens ÷ ours", 1.6),
    Line("against dense", "loop over images, all tokens with a mask ÷ ours", 4.5),
    Line("against dense, KV cache", "loop over images, all tokens ÷ ours with a KV cache", 15.0),
    Line("against SyncVectorEnv", "32 single envs ÷ the native vector env", 1.6),
    Line("machinery", "steps/s without a classifier ÷ ap_gym CircleSquare-v0, both × 32", 2.0),
    Line("machinery, steps/s", "steps/s without a classifier, 32 rows", None),
    Line("SB3", "PPO's rollout rate ÷ the vector env's, same actions", 0.9),
    Line("RLlib", "its env runner's sampling rate ÷ the vector env's, same actions", 0.8),
    Line("Ray", "evaluation by two workers of one thread ÷ one process of two", 0.9),
    Line("page, first picture (s)", _PRESS, 3.0, at_least=False),
    Line("page, second picture (s)", _PRESS, 1.5, at_least=False),
    Line("import", "import saccade_env ÷ import gymnasium, torch", 1.1, at_least=False),
    Line("feeding", "evaluation from files ÷ from decoded pictures", 1.05, at_least=False),
    Line("feeding, shards", "evaluation from tar shards ÷ from files", 1.1, at_least=False),
    Line("feeding, tables", "evaluation from parquet ÷ from files", 1.1, at_least=False),
    Line("growth, time", "time per image at 900 images ÷ at 100", 1.1, at_least=False),
    Line("growth, memory", "peak memory at 900 images ÷ at 100", 1.1, at_least=False),
)
_GROUPS: tuple[Callable[[Plan, str | None], Ratios], ...] = (
    environments.transformer,
    environments.cnn,
    environments.forward,
    environments.machinery,
    environments.sb3,
    processes.rllib,
    processes.ray,
    processes.imports,
    processes.page,
    processes.feeding,
    processes.growth,
)


def measure(plan: Plan, images: str | None = None, progress: bool = True) -> Iterator[Line]:
    """Measure every line, a group at a time.

    Args:
        plan: How much to measure.
        images: Folder of pictures; the sample by default.
        progress: Show a progress bar.

    Yields:
        Lines in the order of :data:`LINES`; without those that need a package that is missing.
    """
    found: dict[str, list[float]] = {}
    for group in tqdm(_GROUPS, desc="bench", unit="group", disable=not progress):
        for ratios in group(plan, images):
            for name, ratio in ratios.items():
                found.setdefault(name, []).append(ratio)
    for line in LINES:
        if line.name in found:
            yield replace(line, ratios=tuple(found[line.name]))


def as_json(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """``{line: {value, target, met, min, median, max}}``."""
    return {
        line.name: {"value": line.value, "target": line.target, "met": line.met}
        | {"min": min(line.ratios), "median": line.value, "max": max(line.ratios)}
        for line in lines
    }
