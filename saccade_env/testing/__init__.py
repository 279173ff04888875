"""Checks of what one has written oneself: a policy, classifier, image source or observer.

>>> from saccade_env import policies, testing
>>> testing.check_policy(policies.create("centre"))

Each check takes a second or so, needs no network, and raises :class:`ContractError` at the first
thing that environments and evaluations could not rely on. The message says what came, what was
expected, and what to do about it. The package's own tests call the same functions.
"""

from __future__ import annotations

from saccade_env.testing.classifier import check_classifier
from saccade_env.testing.contract import ContractError
from saccade_env.testing.material import LinearClassifier
from saccade_env.testing.observer import check_observer
from saccade_env.testing.policy import check_policy
from saccade_env.testing.source import check_image_source

__all__ = [
    "ContractError",
    "LinearClassifier",
    "check_classifier",
    "check_image_source",
    "check_observer",
    "check_policy",
]
