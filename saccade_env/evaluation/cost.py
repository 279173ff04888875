"""What a decision costs: measured, whatever a policy says of itself.

FLOPs are those of one image, the run's first that can be read, followed by each policy: so they do
not depend on batches and shards. Times are those of the run, and never the same twice.

For people, FLOPs of a policy are told in *forwards*: whole images that the same classifier could
have seen for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.counting import flops
from saccade_env.evaluation.rollout import steps
from saccade_env.images import BrokenImageError, ImageSource, Picture, stack

Reading = Callable[[], float]
FORWARDS = "forwards"  # column of the records


class Cost(NamedTuple):
    """FLOPs of one episode: before the first saccade, and then for each of them."""

    policy: list[int]  # at its reset, and before every saccade
    classifier: list[int]  # taking in the image, and after every saccade


class Costs(NamedTuple):
    """FLOPs of one image: of the classifier that sees all of it, and of every policy's episode."""

    whole: int = 0
    policies: dict[str, Cost] = {}  # noqa: RUF012 - nobody changes it

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Costs:
        """From what JSON kept of them.

        Raises:
            KeyError: It kept something else, as for the next one.
            TypeError: Likewise.
        """
        return cls(kept["whole"], {name: Cost(**own) for name, own in kept["policies"].items()})

    def plain(self) -> dict[str, Any]:
        """As JSON can keep them."""
        policies = {name: cost._asdict() for name, cost in self.policies.items()}
        return {"whole": self.whole, "policies": policies}

    def forwards(self, policy: str) -> list[float]:
        """Forwards that a policy has spent: at its reset, and up to every saccade.

        NaN where the classifier has no FLOPs that could be counted.
        """
        spent = accumulate(self.policies[policy].policy)
        return [round(flops / self.whole, 4) if self.whole else float("nan") for flops in spent]


class Meter:
    """What policy and classifier spend each time they are asked.

    Args:
        gauge: Opened around what is measured; tells how much it was.

    Attributes:
        spent: By ``"policy"`` and ``"classifier"``.
    """

    def __init__(self, gauge: Callable[[], AbstractContextManager[Reading]]) -> None:
        self._gauge = gauge
        self.spent: dict[str, list[Any]] = {"policy": [], "classifier": []}

    @contextmanager
    def __call__(self, who: Literal["policy", "classifier"]) -> Iterator[None]:
        with self._gauge() as reading:
            yield
        self.spent[who].append(reading())


@contextmanager
def seconds() -> Iterator[Reading]:
    """Time the block."""
    start = time.perf_counter()
    yield lambda: time.perf_counter() - start


def measure_all(
    policies: Mapping[str, core.Policy],
    source: ImageSource,
    chosen: Sequence[int],
    config: SaccadeConfig,
    classifier: Classifier,
) -> Costs:
    """What one image costs, the first of the chosen that can be read; nothing if none can."""
    picture = _first(source, chosen)
    if picture is None:
        return Costs()
    images, labels = stack([picture])
    measured = {p: measure(policies[p], images, labels, config, classifier) for p in policies}
    return Costs(whole_image(images, config, classifier), measured)


@torch.no_grad()
def measure(
    policy: core.Policy,
    images: UInt8[Tensor, "1 3 height width"],
    labels: Int[Tensor, "1"],
    config: SaccadeConfig,
    classifier: Classifier,
) -> Cost:
    """FLOPs of one episode of a policy; it is reset and followed through all saccades.

    Args:
        policy: What it costs.
        images: One image.
        labels: Its class, -1 where unknown.
        config: The task.
        classifier: Judges what is revealed.
    """
    hidden = torch.zeros(1, *config.grid, dtype=torch.bool)
    blank = core.blank_logits(classifier.begin(images), hidden, classifier)  # once for all images
    meter = Meter(flops)
    first = replace(config, max_saccades=1)  # what is prepared once is not what an image costs
    for task, gauge in ((first, nullcontext), (config, meter)):
        done = steps(images, labels, policy, task, classifier, blank=blank, meter=gauge)
        deque(done, maxlen=0)
    return Cost(**meter.spent)


def whole_image(
    images: UInt8[Tensor, "1 3 height width"], config: SaccadeConfig, classifier: Classifier
) -> int:
    """FLOPs of one forward: the image is taken in, and all of it classified."""
    judge = classifier.recomputing
    with flops() as reading:
        judge.classify(judge.begin(images), torch.ones(1, *config.grid, dtype=torch.bool))
    return reading()


def summarise(
    records: pd.DataFrame,
    costs: Costs,
    seconds: Mapping[str, Sequence[float]],
    before: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """What each policy costs an image, as plain data.

    Args:
        records: Of an evaluation; older ones have no forwards, and nothing is said of them.
        costs: Of one image.
        seconds: By policy, of itself and of the classifier, all images together.
        before: What was said of the same records before, for times that are not known any more.

    Returns:
        By policy ``forwards`` (spent up to each saccade, mean over the images; None if the
        classifier's FLOPs cannot be counted) and ``forwards_per_saccade``; ``policy_flops`` and
        ``classifier_flops`` (up to each saccade); ``policy_ms`` and ``classifier_ms`` (of an image
        and saccade; None if not known).
    """
    if FORWARDS not in records:
        return {}
    return {
        policy: {
            **_forwards(records[records["policy"] == policy]),
            "policy_flops": list(accumulate(cost.policy))[1:],
            "classifier_flops": list(accumulate(cost.classifier))[1:],
            **_times(len(records) // len(costs.policies), seconds.get(policy), before.get(policy)),
        }
        for policy, cost in costs.policies.items()
    }


def _first(source: ImageSource, chosen: Sequence[int]) -> Picture | None:
    for index in chosen:
        try:
            return source[index]
        except BrokenImageError:  # the run itself says so
            continue
    return None


def _forwards(own: pd.DataFrame) -> dict[str, Any]:
    spent = own.groupby("saccade")[FORWARDS].mean().round(4)
    if spent.isna().any():
        return {FORWARDS: [None] * len(spent), f"{FORWARDS}_per_saccade": None}
    return {
        FORWARDS: spent.tolist(),
        f"{FORWARDS}_per_saccade": round(spent.iloc[-1] / len(spent), 4),
    }


def _times(
    count: int, spent: Sequence[float] | None, before: Mapping[str, Any] | None
) -> dict[str, float | None]:
    names = "policy_ms", "classifier_ms"
    if spent is None:
        return {name: (before or {}).get(name) for name in names}
    return {n: round(1000 * own / count, 3) for n, own in zip(names, spent, strict=True)}
