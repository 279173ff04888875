"""One batch of images under one policy: the evaluator's use of the one transition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig

Meter = Callable[[Literal["policy", "classifier"]], AbstractContextManager[Any]]


class Rollout(NamedTuple):
    """What happened at every saccade of every image."""

    scanpath: Int[np.ndarray, "batch saccades 2"]  # (row, col)
    prediction: Int[np.ndarray, "batch saccades"]
    correct: Bool[np.ndarray, "batch saccades"]
    certainty: Float[np.ndarray, "batch saccades"]
    visible_share: Float[np.ndarray, "batch saccades"]
    true_class_probability: Float[np.ndarray, "batch saccades"]  # NaN without a label
    predicted_gain: Float[np.ndarray, "batch saccades"] | None = None  # None if it does not tell


def rollout(
    images: Tensor,
    labels: Int[Tensor, " batch"],
    policy: core.Policy,
    config: SaccadeConfig,
    classifier: Classifier,
    memory: Any = None,
    blank: Float[Tensor, " classes"] | None = None,
    meter: Meter = nullcontext,
) -> Rollout:
    """Follow a policy for ``config.max_saccades`` saccades on every image.

    Args:
        images: uint8 [B, 3, H, W] on the CPU.
        labels: Class of each image, -1 where unknown.
        policy: Chooses the fixations; it is reset on the images first, an oracle on everything.
        config: The task.
        classifier: Judges what is revealed.
        memory: ``classifier.begin(images)`` if it is at hand already.
        blank: The classifier's logits with nothing revealed, likewise.
        meter: Entered whenever one of the two is asked.

    Returns:
        Every episode at all ``max_saccades`` saccades; one that has stopped stays as it was.

    Raises:
        ValueError: The policy answers something else than fixations, or stops where the task has
            no stop action.
    """
    states: list[core.State] = []
    gains: list[Tensor] = []
    for state in steps(images, labels, policy, config, classifier, memory, blank, meter):
        states.append(state)
        if isinstance(policy, core.PredictsGain) and len(states) <= config.max_saccades:
            with meter("policy"):  # what is predicted here may be what it acts on
                gains.append(policy.predicted_gain(core.view(state)).cpu())
    found = torch.stack(gains, 1).numpy() if gains else None
    return collect(states[1:])._replace(predicted_gain=found)


def follow(
    images: Tensor,
    labels: Int[Tensor, " batch"],
    policy: core.Policy,
    config: SaccadeConfig,
    classifier: Classifier,
    memory: Any = None,
    blank: Float[Tensor, " classes"] | None = None,
) -> list[core.State]:
    """The same as states: before the first saccade, and after every one."""
    return list(steps(images, labels, policy, config, classifier, memory, blank))


def steps(
    images: Tensor,
    labels: Int[Tensor, " batch"],
    policy: core.Policy,
    config: SaccadeConfig,
    classifier: Classifier,
    memory: Any = None,
    blank: Float[Tensor, " classes"] | None = None,
    meter: Meter = nullcontext,
) -> Iterator[core.State]:
    """The states of :func:`follow` one by one, each computed when it is asked for."""
    place = torch.arange(len(images), device=images.device)
    with meter("classifier"):
        state = core.begin(images, labels, place, config, classifier, memory, blank)
    with meter("policy"):
        core.reset_policy(policy, state, config, classifier)
    running = torch.ones_like(labels, dtype=torch.bool)
    yield state
    for _ in range(config.max_saccades):
        # A row that has stopped is still asked, in a full batch, but no longer listened to.
        with meter("policy"):  # fixations and logits come to the CPU, which waits for a GPU
            chosen = policy.act(core.view(state))
            fixation = core.check_fixations(chosen, running, config, policy.name)
        running = running & (fixation < config.num_tokens)
        with meter("classifier"):
            state, _ = core.saccade(state, fixation, config, classifier)
        yield state


def collect(states: Sequence[core.State]) -> Rollout:
    """What happened, from the states after every saccade."""

    def stack(values: list[Tensor]) -> np.ndarray:
        return torch.stack(values, 1).cpu().numpy()

    return Rollout(
        scanpath=states[-1].fixations.cpu().numpy(),
        prediction=stack([state.logits.argmax(-1) for state in states]),
        correct=stack([core.correct(state) for state in states]),
        certainty=stack([state.certainty for state in states]),
        visible_share=stack([core.visible_share(state.revealed) for state in states]),
        true_class_probability=stack([core.true_class_probability(state) for state in states]),
    )
