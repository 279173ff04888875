"""Learned agents, trained with Stable-Baselines3.

What needs SB3 is imported when first asked for, sb3-contrib only where its algorithms are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade_env.agents.agent_policy import AgentPolicy
    from saccade_env.agents.features import TokenGridNet
    from saccade_env.agents.sb3_vec_env import SB3VecEnv

_HOMES = {
    "AgentPolicy": "agent_policy",
    "SB3VecEnv": "sb3_vec_env",
    "TokenGridNet": "features",
}

__all__ = ["AgentPolicy", "SB3VecEnv", "TokenGridNet"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
