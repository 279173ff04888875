"""Active vision as a Gymnasium environment.

>>> import gymnasium as gym, saccade_env
>>> env = gym.make("SaccadeImageNet-v0", images="sample", classifier="efficientnet_lite0")
>>> observation, info = env.reset(seed=0)

Importing this registers the environment; all names, such as ``saccade_env.SaccadeEnv``,
``evaluate``, ``classifiers`` or ``policies``, are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium as gym

if TYPE_CHECKING:
    from saccade_env import agents, classifiers, evaluation, images, policies, rendering, testing
    from saccade_env.classifiers import Classifier
    from saccade_env.config import SaccadeConfig
    from saccade_env.core import Outcome, Policy, State, View, saccade
    from saccade_env.env import SaccadeEnv
    from saccade_env.evaluation import evaluate
    from saccade_env.images import ImageSource
    from saccade_env.observe.wrappers import (
        BeliefObservation,
        EyeObservation,
        ImageObservation,
        PeripheryObservation,
        SaliencyObservation,
    )
    from saccade_env.vector_env import SaccadeVectorEnv

__all__ = [
    "BeliefObservation",
    "Classifier",
    "EyeObservation",
    "ImageObservation",
    "ImageSource",
    "Outcome",
    "PeripheryObservation",
    "Policy",
    "SaccadeConfig",
    "SaccadeEnv",
    "SaccadeVectorEnv",
    "SaliencyObservation",
    "State",
    "View",
    "agents",
    "classifiers",
    "evaluate",
    "evaluation",
    "images",
    "policies",
    "rendering",
    "saccade",
    "testing",
]

ENV_ID = "SaccadeImageNet-v0"
_HOMES = {
    "Classifier": "classifiers",
    "ImageSource": "images",
    "SaccadeConfig": "config",
    "SaccadeEnv": "env",
    "SaccadeVectorEnv": "vector_env",
    "evaluate": "evaluation",
    **dict.fromkeys(("Outcome", "Policy", "State", "View", "saccade"), "core"),
}
_ROOMS = ("agents", "classifiers", "evaluation", "images", "policies", "rendering", "testing")

gym.register(
    id=ENV_ID,
    entry_point="saccade_env.env:SaccadeEnv",
    vector_entry_point="saccade_env.vector_env:SaccadeVectorEnv",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "observe.wrappers")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
