"""The card of a run: what was looked at, with what, under which rules and versions.

Environments show it as ``env.unwrapped.card``; every result file carries it.
"""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict
from typing import Any

from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.images.base import ImageSource

_DISTRIBUTIONS = ("saccade-env", "torch", "torchvision", "timm", "gymnasium", "numpy", "pillow")


def card(config: SaccadeConfig, classifier: Classifier, source: ImageSource) -> dict[str, Any]:
    """Configuration, classifier with weights hash, data identity and versions, as plain data."""
    return {
        "config": {**asdict(config), "grid": list(config.grid)},
        "classifier": {
            "name": classifier.name,
            "weights": asdict(classifier.weights),
            "patch_size": classifier.patch_size,
            "num_classes": classifier.num_classes,
        },
        "images": {
            "name": source.name,
            "count": len(source),
            "labels": source.labels,
            "image_size": list(source.image_size),
            "preprocess": repr(getattr(source, "preprocess", None)),
            "identity": source.identity,
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
