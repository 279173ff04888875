"""The card of a trained agent: how it came to be, and what it reached."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from saccade_env.agents.parts import Parts
from saccade_env.agents.settings import Settings
from saccade_env.card import card, describe_policy
from saccade_env.config import SaccadeConfig

CARD = "card.json"


def run_card(settings: Settings, parts: Parts, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Plain data, the same for a training and its resumption; steps and results come later."""
    config = SaccadeConfig(
        parts.classifier.grid,
        settings.fovea,
        settings.saccades,
        settings.reward,  # type: ignore[arg-type]
        settings.saccade_cost,
        "token",
        settings.stop_action,
    )
    environment = card(config, parts.classifier, parts.learnt)
    versions = environment.pop("versions")
    return {
        "algo": settings.algo,
        "observation": {
            "periphery": settings.periphery,
            "prior": settings.prior,
            "belief": settings.belief,
            "activation": parts.classifier.name if settings.activation else None,
        },
        "prior": describe_policy(parts.prior) if parts.prior is not None else None,
        "warm_start": describe_policy(parts.teacher) if parts.teacher is not None else None,
        "warm_start_steps": settings.warm_start_steps if parts.teacher is not None else 0,
        "augment": settings.augment,
        "seed": settings.seed,
        "n_envs": settings.n_envs,
        "reward": settings.reward,
        "hyperparameters": hyperparameters,
        **environment,
        "held_back": {"count": len(parts.held_back), "identity": parts.held_back.identity},
        "versions": {**versions, **_sb3_versions()},
    }


def _sb3_versions() -> dict[str, str]:
    found = {}
    for name in ("stable-baselines3", "sb3-contrib"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
