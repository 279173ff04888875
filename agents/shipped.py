"""The agents that come with the package, by name: safetensors and JSON, which execute nothing."""

from __future__ import annotations

from pathlib import Path

from saccade_env.agents.agent_files import DESCRIPTION
from saccade_env.errors import unknown_name

FOLDER = Path(__file__).parent / "pretrained"


def names() -> list[str]:
    """Names of the agents that are here, for ``--policy`` and :func:`folder_of`."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{DESCRIPTION}"))


def folder_of(name: str) -> Path:
    """Where an agent is.

    Raises:
        ValueError: There is no such agent.
    """
    if name not in names():
        raise unknown_name("agent", name, names())
    return FOLDER / name
