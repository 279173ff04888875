"""The card of a run: what was looked at, with what, under which rules and versions.

Environments show it as ``env.unwrapped.card``; every result file carries it.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.core import Oracle, Policy
from saccade_env.images.base import ImageSource

THE_LABEL = "the label"  # what a ceiling sees
_DISTRIBUTIONS = (
    "saccade-env",
    "torch",
    "torchvision",
    "timm",
    "gymnasium",
    "numpy",
    "pillow",
    "onnxruntime",
)


def card(config: SaccadeConfig, classifier: Classifier, source: ImageSource) -> dict[str, Any]:
    """Configuration, classifier with weights hash, data identity and versions, as plain data."""
    return {
        "config": {**asdict(config), "grid": list(config.grid)},
        "classifier": {
            "name": classifier.name,
            "weights": asdict(classifier.weights),
            **{key: value for key, value in classifier.options.items() if value},
            "patch_size": classifier.patch_size,
            "num_classes": classifier.num_classes,
        },
        "images": {
            "name": source.name,
            "count": len(source),
            "labels": source.labels,
            **source.description,
            "image_size": list(source.image_size),
            "preprocess": repr(source.preprocess),
            "identity": source.identity,
        },
        "versions": versions(),
    }


def describe_policy(policy: Policy) -> dict[str, Any]:
    """Name, parameters and weights of a policy, as plain data.

    Parameters are its public attributes that are plain values, tuples or dataclasses of these, or
    policies.
    """
    parameters = {
        key: plain(value)
        for key, value in vars(policy).items()
        if not key.startswith("_")
        and (isinstance(value, (str, int, float, bool, tuple, Policy)) or _is_record(value))
    }
    weights = getattr(policy, "weights", None)
    described = {"name": policy.name, "sees_full_image": policy.sees_full_image, **parameters}
    if periphery := getattr(policy, "periphery", 0):  # a property as well
        described["periphery"] = periphery
    if isinstance(policy, Oracle) and policy.sees_label:
        described["sees_label"] = True
    return {**described, "weights": vars(weights)} if weights else described


def what_it_sees(policy: Policy) -> str:
    """What a policy sees besides what it reveals: "no", "yes" (the whole image), or in words."""
    if isinstance(policy, Oracle) and policy.sees_label:
        return THE_LABEL
    if policy.sees_full_image:
        return "yes"
    side = getattr(policy, "periphery", 0)
    return f"{side}×{side} pixels" if side else "no"


def _is_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def versions(*others: str) -> dict[str, str]:
    """Versions of Python, of the packages that results depend on, and of others."""
    found = {"python": platform.python_version()}
    for name in (*_DISTRIBUTIONS, *others):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def plain(value: Any) -> Any:
    """The same as JSON can hold it: arrays as lists, paths as text, no number but finite ones.

    A policy becomes its description, a dataclass its fields by name.
    """
    if isinstance(value, Policy):
        return describe_policy(value)
    if _is_record(value):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
