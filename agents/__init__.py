"""Learned agents, trained with Stable-Baselines3.

What needs SB3 is imported when first asked for, sb3-contrib only where its algorithms are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade_env.agents.compact import CompactExtractor
    from saccade_env.agents.net import TokenGridNet
    from saccade_env.agents.policy import AgentPolicy
    from saccade_env.agents.sb3_vec_env import SB3VecEnv
    from saccade_env.images.patch_cache import PatchCache

_HOMES = {
    "AgentPolicy": "policy",
    "CompactExtractor": "compact",
    "PatchCache": "compact",
    "SB3VecEnv": "sb3_vec_env",
    "TokenGridNet": "net",
}

__all__ = [
    "AgentPolicy",
    "CompactExtractor",
    "PatchCache",
    "SB3VecEnv",
    "TokenGridNet",
    "available",
    "create",
]


def available() -> list[str]:
    """Names of the agents that come with the package."""
    from saccade_env.agents import files

    return files.available()


def create(name: str, **keywords: Any) -> AgentPolicy:
    """Build an agent that comes with the package, or that is on the Hub, as a policy.

    Args:
        name: One of :func:`available`, or ``"hf:NAME[@REVISION]"``, see :func:`.hub.find`.
        **keywords: ``grid``, ``device``, ``stops`` and ``make_prior``, see
            :meth:`saccade_env.agents.policy.AgentPolicy.load`; an agent with a saliency map needs
            ``make_prior=policies.create``.

    Raises:
        ValueError: No such agent, or it needs ``make_prior``.
        OSError: It cannot be had from the Hub.
    """
    from saccade_env.agents import files, hub, policy
    from saccade_env.registry import read_parameters

    if name.startswith(f"{hub.PREFIX}:"):
        remote = hub.find(name)
        load = policy.AgentPolicy.load
        said = read_parameters(load, remote.parameters, f"agent {name!r}", keywords)
        return load(remote.folder, **said, **keywords, source=remote.source)
    return policy.AgentPolicy.load(files.folder_of(name), **keywords)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
