"""The lines of the benchmark, and how each is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from saccade_env.bench import environments, processes


@dataclass(frozen=True)
class Line:
    """One line: a ratio a repeat, and what it should be.

    ``target`` is None for a plain number; ``at_least`` tells ≥ from ≤.
    """

    name: str
    meaning: str
    target: float | None
    at_least: bool
    ratios: list[float] = field(default_factory=list)

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


@dataclass(frozen=True)
class Plan:
    """How much is measured: a quick look, or the whole table."""

    repeats: int
    rows: int  # of the vector environment
    loop_rows: int  # images in the loops that go one by one
    saccades: int
    cnn_saccades: int
    growth: tuple[int, int]  # images
    growth_classifier: str
    growth_repeats: int
    fed: int  # images of the evaluation that decodes files

    @classmethod
    def of(cls, quick: bool) -> Plan:
        """The quick plan ends within two minutes on two cores."""
        if quick:
            return cls(2, 32, 4, 10, 3, (100, 900), "null", 1, 16)
        return cls(3, 32, 8, 10, 5, (100, 900), "efficientnet_lite0", 2, 48)


LINES: dict[str, tuple[str, float | None, bool]] = {
    "efficiency dino_vits16": ("bare forwards on the same token sets ÷ vector env", 0.95, True),
    "efficiency efficientnet_lite0": (
        "bare forwards on the same token sets ÷ vector env",
        0.95,
        True,
    ),
    "against naive": ("loop over images, revealed tokens ÷ ours", 1.6, True),
    "against dense": ("loop over images, all tokens with a mask ÷ ours", 4.5, True),
    "against dense, KV cache": ("loop over images, all tokens ÷ ours with a KV cache", 15.0, True),
    "against SyncVectorEnv": ("32 single envs ÷ the native vector env", 1.6, True),
    "machinery": ("steps/s without a classifier ÷ ap_gym CircleSquare-v0, both × 32", 2.0, True),
    "machinery, steps/s": ("steps/s without a classifier, 32 rows", None, True),
    "SB3": ("PPO's rollout rate ÷ the vector env's, same actions", 0.9, True),
    "import": ("import saccade_env ÷ import gymnasium, torch", 1.1, False),
    "feeding": ("evaluation from files ÷ from decoded pictures", 1.05, False),
    "growth, time": ("time per image at 900 images ÷ at 100", 1.1, False),
    "growth, memory": ("peak memory at 900 images ÷ at 100", 1.1, False),
}


def measure(
    sb3_collector: Callable[..., Any],
    plan: Plan,
    images: str | None = None,
    progress: bool = True,
) -> Iterator[Line]:
    """Measure every line, a group at a time.

    Args:
        sb3_collector: :func:`saccade_env.agents.rollout_rate.ppo_collector`.
        plan: How much to measure.
        images: Folder of pictures; the sample by default.
        progress: Show a progress bar.

    Yields:
        Lines in the order of :data:`LINES`.
    """
    from tqdm.auto import tqdm

    groups: list[Callable[[], Iterator[dict[str, float]]]] = [
        lambda: environments.transformer(plan, images),
        lambda: environments.cnn(plan, images),
        lambda: environments.machinery(plan, images),
        lambda: environments.sb3(plan, images, sb3_collector),
        lambda: processes.imports(plan),
        lambda: processes.feeding(plan, images),
        lambda: processes.growth(plan, images),
    ]
    found: dict[str, list[float]] = {}
    for group in tqdm(groups, desc="bench", unit="group", disable=not progress):
        for ratios in group():
            for name, ratio in ratios.items():
                found.setdefault(name, []).append(ratio)
    for name, (meaning, target, at_least) in LINES.items():
        if name in found:
            yield Line(name, meaning, target, at_least, found[name])
