"""Policies that see what no competitor may: image, label and classifier. They are ceilings.

A :class:`core.View` stays free of labels. An oracle is handed the episodes themselves instead,
once, when it is reset; :func:`reset_policy` is how everything that plays a policy begins.
"""

from __future__ import annotations

from typing import Any, Protocol

from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.core import Policy, State


class Oracle(Policy, Protocol):
    """A policy with ``sees_label = True``: reported as the ceiling, never as a competitor."""

    sees_label: bool

    def reset_seeing(self, state: State, config: SaccadeConfig, classifier: Classifier) -> None:
        """Take in a batch of running episodes as they are: images, labels and memory.

        Raises:
            ValueError: A label that it needs is missing.
        """


def is_oracle(policy: Any) -> bool:
    """Whether a policy sees labels."""
    return bool(getattr(policy, "sees_label", False))


def reset_policy(
    policy: Policy, state: State, config: SaccadeConfig, classifier: Classifier
) -> None:
    """Start a policy on a batch of episodes: it gets their images, or everything if an oracle.

    Args:
        policy: Where to look.
        state: The episodes, at any saccade.
        config: The task.
        classifier: Judges what is revealed.
    """
    if is_oracle(policy):
        policy.reset_seeing(state, config, classifier)  # type: ignore[attr-defined]
    else:
        policy.reset(state.images)
