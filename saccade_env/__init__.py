"""Active vision as a Gymnasium environment.

>>> import gymnasium as gym, saccade_env
>>> env = gym.make("SaccadeImageNet-v0")
>>> observation, info = env.reset(seed=0)
"""

from __future__ import annotations

import gymnasium as gym

from saccade_env.config import SaccadeConfig
from saccade_env.core import Outcome, Policy, State, View, saccade
from saccade_env.env import SaccadeEnv
from saccade_env.observe.wrappers import (
    ActivationObservation,
    BeliefObservation,
    ImageObservation,
    PeripheryObservation,
    SaliencyObservation,
)
from saccade_env.vector_env import SaccadeVectorEnv

__all__ = [
    "ActivationObservation",
    "BeliefObservation",
    "ImageObservation",
    "Outcome",
    "PeripheryObservation",
    "Policy",
    "SaccadeConfig",
    "SaccadeEnv",
    "SaccadeVectorEnv",
    "SaliencyObservation",
    "State",
    "View",
    "saccade",
]

ENV_ID = "SaccadeImageNet-v0"

gym.register(
    id=ENV_ID,
    entry_point="saccade_env.env:SaccadeEnv",
    vector_entry_point="saccade_env.vector_env:SaccadeVectorEnv",
)
