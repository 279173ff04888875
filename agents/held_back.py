"""An agent on held-back pictures during training: every picture once, with the best action."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from saccade_env import core, images, rendering
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.rollout import follow
from saccade_env.images import ImageSource

_ROWS = 16  # pictures at a time


class Result(NamedTuple):
    """Means over the pictures, after every saccade where there is an axis, each 0 to 1."""

    reward: float  # of an episode
    saccades: float  # made in an episode
    certainty: Float[np.ndarray, " saccades"]
    accuracy: Float[np.ndarray, " saccades"]  # NaN without labels
    visible_share: Float[np.ndarray, " saccades"]
    frame: np.ndarray  # the scanpath on the first picture

    def row(self) -> dict[str, float]:
        """As a line of a table: means over saccades, and accuracy after each."""
        means = {
            "reward": self.reward,
            "saccades": self.saccades,
            "certainty": float(self.certainty.mean()),
            "accuracy": float(self.accuracy.mean()),
            "visible_share": float(self.visible_share[-1]),
        }
        names = (f"accuracy_at_{number:02d}" for number in range(1, len(self.accuracy) + 1))
        return means | dict(zip(names, map(float, self.accuracy), strict=True))


def evaluate(
    policy: core.Policy, source: ImageSource, config: SaccadeConfig, classifier: Classifier
) -> Result:
    """Look at every picture once.

    Args:
        policy: The live network as a policy, which is asked but not changed.
        source: The held-back pictures.
        config: The task.
        classifier: Judges what is revealed.
    """
    count, parts = len(source), []
    frames: list[np.ndarray] = []
    rows = min(count, _ROWS)
    for first in range(0, count, rows):
        # Always as many rows: the last picture fills up the last batch.
        shown = [source[min(place, count - 1)] for place in range(first, first + rows)]
        pixels, labels = images.stack(shown)
        states = follow(pixels, labels, policy, config, classifier)
        parts.append(_measured(states, config))
        frames = frames or [_frame(states, config, classifier.patch_size)]
    means = {key: np.concatenate([part[key] for part in parts])[:count].mean(0) for key in parts[0]}
    reward, saccades = float(means.pop("reward")), float(means.pop("saccades"))
    return Result(reward, saccades, **means, frame=frames[0])


def _measured(states: list[core.State], config: SaccadeConfig) -> dict[str, np.ndarray]:
    """What :class:`Result` is the mean of, a row a picture."""

    def stack(values: list[torch.Tensor]) -> np.ndarray:
        return torch.stack(values, 1).double().cpu().numpy()

    steps = list(enumerate(pairwise(states)))
    running = [before.saccades_done == place for place, (before, _) in steps]
    earned = stack([core.reward(before, after, config) for _, (before, after) in steps])
    correct = stack([core.correct(state) for state in states[1:]])
    correct[states[0].labels.cpu().numpy() == core.UNLABELLED] = np.nan
    return {
        "reward": np.where(stack(running), earned, 0).cumsum(1)[:, -1],
        "saccades": states[-1].saccades_done.double().cpu().numpy(),
        "certainty": stack([state.certainty for state in states[1:]]),
        "accuracy": correct,
        "visible_share": stack([core.visible_share(state.revealed) for state in states[1:]]),
    }


def _frame(states: list[core.State], config: SaccadeConfig, patch_size: int) -> np.ndarray:
    done = int(states[-1].saccades_done[0])
    history = [float(state.certainty[0]) for state in states[: done + 1]]
    return rendering.frame(states[-1], config, patch_size, history)
