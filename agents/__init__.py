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

__all__ = ["AgentPolicy", "SB3VecEnv", "TokenGridNet", "available", "create"]


def available() -> list[str]:
    """Names of the agents that come with the package."""
    from saccade_env.agents import shipped

    return shipped.names()


def create(name: str, **keywords: Any) -> AgentPolicy:
    """Build an agent that comes with the package, as a policy.

    Args:
        name: One of :func:`available`.
        **keywords: ``grid``, ``device``, ``stops`` and ``make_prior``, see
            :meth:`AgentPolicy.load`; an agent with a saliency map needs
            ``make_prior=policies.create``.

    Raises:
        ValueError: No such agent, or it needs ``make_prior``.
    """
    from saccade_env.agents import agent_policy, shipped

    return agent_policy.AgentPolicy.load(shipped.folder_of(name), **keywords)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
