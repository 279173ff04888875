"""Knowing when to stop: a rule that ends an episode once the classifier is certain.

What the rule would have done can also be read off the records of a run without it: see
:func:`saccade_env.evaluation.metrics.stopping_curve`.
"""

from __future__ import annotations

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig


class StopWhenCertain:
    """Looks where another policy looks, and stops an episode once certainty is high enough.

    For tasks with ``stop_action=True``: the stop action is N, the number of tokens. Every episode
    stops on its own, after at least ``patience`` saccades.

    Args:
        policy: Where to look.
        threshold: Certainty, 0 to 1, at which to stop.
        patience: Saccades in a row after which certainty must be ≥ ``threshold``, at least 1.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, policy: core.Policy, threshold: float, patience: int = 1) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be a certainty, 0 to 1; got {threshold}")
        if patience < 1:
            raise ValueError(f"patience must be ≥ 1; got {patience}")
        self.policy, self.threshold, self.patience = policy, threshold, patience
        self.name = f"{policy.name}-until-{threshold:g}"
        self.sees_full_image = policy.sees_full_image
        self.sees_label = isinstance(policy, core.Oracle) and policy.sees_label
        self._certain: Tensor | None = None  # how many saccades in a row
        self._seen: Tensor | None = None  # saccades counted

    @property
    def periphery(self) -> int:
        """The policy's own, side in pixels of the small whole picture that it sees, 0 without."""
        return int(getattr(self.policy, "periphery", 0))

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Hand the images on, and forget what was counted."""
        self.policy.reset(images)
        self._start(images)

    def reset_seeing(
        self, state: core.State, config: SaccadeConfig, classifier: Classifier
    ) -> None:
        """The same for an oracle, which is handed everything."""
        core.reset_policy(self.policy, state, config, classifier)
        self._start(state.labels)

    def act(self, view: core.View) -> Int[Tensor, " batch"]:
        """Token index of the policy's next fixation, N where the episode stops.

        Raises:
            RuntimeError: There was no reset.
        """
        if self._certain is None or self._seen is None:
            raise RuntimeError(f"policy {self.name!r}: it must be reset before act(view)")
        fixation = self.policy.act(view)
        self._certain, self._seen = self._counted(view, self._certain, self._seen)
        stop = view.revealed[0].numel()
        return torch.where(self._certain >= self.patience, stop, fixation)

    def _counted(self, view: core.View, certain: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Count a saccade once, however often it is asked about; a new episode starts at 0."""
        done = view.saccades_done
        holds = (view.certainty >= self.threshold) & (done > 0)
        return torch.where(holds, certain + (done > seen), 0), done

    def _start(self, batch: Tensor) -> None:
        self._certain = torch.zeros(len(batch), dtype=torch.long, device=batch.device)
        self._seen = self._certain
