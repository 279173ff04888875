"""Policies that follow the attention of a vision transformer: DINO (the paper's), or any other."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env import classifiers
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.vit import dino, timm_models
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.errors import unknown_name
from saccade_env.policies.attention_maps import (
    Reduction,
    Resolution,
    attention_map,
    check_attention,
    gradient_map,
    rollout_map,
)
from saccade_env.policies.base import SaliencyPolicy

FOCUS = "focus"
USUAL = {"pretrained": True, "seed": 0}
_NAMES = {("attention", "dino_vits16"): "dino", ("attention", FOCUS): "focus-attention"}


def load_network(model: str, how: dict[str, Any], device: str | torch.device) -> TokenNetwork:
    """A network by name; a classifier's own where there is one of it.

    Raises:
        ValueError: There is no such network, or it does not attend.
        WeightsError: Its weights cannot be had.
    """
    own = model in dino.NETWORKS or model == FOCUS
    if own and how != USUAL:
        raise ValueError(f"pretrained and seed are for networks of timm; {model!r} takes neither")
    if model in dino.NETWORKS:
        return dino.load_network(model, device)
    if model == FOCUS:
        from saccade_env.policies.focus import load_focus_vit

        return load_focus_vit(device)
    if model in classifiers.REGISTRY.entries and model != "timm":
        raise ValueError(f"the network of classifier {model!r} attends to nothing")
    if model.startswith("dino"):
        raise unknown_name("network", model, [*dino.NETWORKS, FOCUS])
    return timm_models.load_network(model, **how, device=device)


class AttentionPolicy(SaliencyPolicy):
    """Follows the attention to the patches in one layer of a transformer (paper, section 3).

    The network is the classifier's own where it is the same: it is loaded once.

    Args:
        model: ``dino_vits16`` (the paper's) or another of DINO's and DINOv2's, ``focus`` (the
            Focus ViT), timm's name of a network, or a network that is built already.
        layer: See :func:`attention_map`, also for the next two.
        resolution: Likewise.
        reduction: Likewise; by default ``"max"`` (the paper).
        pretrained: For timm's networks: fetch the weights, else they are random.
        seed: Draws random weights.
        **keywords: ``grid``, ``device`` and ``cache``.

    Raises:
        ValueError: No such network, layer, reduction or resolution.
        WeightsError: The weights cannot be had.
    """

    maps_version = 1
    kind: ClassVar[str] = "attention"
    usual: ClassVar[Reduction] = "max"

    def __init__(
        self,
        model: str | TokenNetwork | VitClassifier = "dino_vits16",
        layer: int = -1,
        resolution: Resolution = None,
        reduction: Reduction | None = None,
        pretrained: bool = True,
        seed: int = 0,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self._given: Any = None if isinstance(model, str) else self._fitting(model)
        self._how = {"pretrained": pretrained, "seed": seed}
        self.model = model.removeprefix("timm:") if isinstance(model, str) else "given"
        self.name = _NAMES.get((self.kind, self.model), f"{self.kind}:{self.model}")
        self.reduction, network = reduction or self.usual, self._network
        self.layer, self.resolution = check_attention(network, layer, self.reduction, resolution)
        self.weights = self._origin

    @staticmethod
    def _fitting(given: TokenNetwork | VitClassifier) -> Any:
        return given.network if isinstance(given, VitClassifier) else given

    @property
    def _origin(self) -> Weights:
        return self._network.weights

    @property
    def _network(self) -> TokenNetwork:  # asked for anew: what is pickled holds none
        return self._given or load_network(self.model, self._how, self.device)

    @property
    def patch_size(self) -> int:
        """Pixels a side of the network's patches."""
        return self._network.patch_size

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        return self._map_of(images, self.grid, *self._chosen).to(images.device)

    @property
    def _chosen(self) -> tuple[int, Resolution, Reduction]:
        return self.layer, self.resolution, self.reduction

    def _map_of(self, *asked: Any) -> Float[Tensor, "batch rows cols"]:
        return attention_map(self._network, *asked)


class RolloutPolicy(AttentionPolicy):
    """Follows what flows from the patches through all layers up to one: :func:`rollout_map`.

    Args are those of :class:`AttentionPolicy`; ``reduction`` is ``"mean"`` by default.
    """

    maps_version = 1
    kind = "rollout"
    usual = "mean"

    def _map_of(self, *asked: Any) -> Float[Tensor, "batch rows cols"]:
        return rollout_map(self._network, *asked)


class GradientPolicy(AttentionPolicy):
    """Follows what speaks for the class that the network believes in: :func:`gradient_map`.

    Args are those of :class:`AttentionPolicy`, but ``model`` has classes: it is the name of a
    classifier, or a VitClassifier; ``reduction`` is ``"mean"`` by default.
    """

    maps_version = 1
    kind = "gradient"
    usual = "mean"

    @staticmethod
    def _fitting(given: TokenNetwork | VitClassifier) -> Any:
        if not isinstance(given, VitClassifier):
            raise ValueError("a network without classes has no gradient of one; give a classifier")
        return given

    @property
    def _origin(self) -> Weights:
        return self._judge.weights

    @property
    def _judge(self) -> VitClassifier:
        return self._given or _judge_of(self.model, *self._how.values(), self.device)

    @property
    def _network(self) -> TokenNetwork:
        return self._judge.network

    def _map_of(self, *asked: Any) -> Float[Tensor, "batch rows cols"]:
        return gradient_map(self._judge, *asked)


@lru_cache(maxsize=4)
def _judge_of(model: str, pretrained: bool, seed: int, device: torch.device) -> VitClassifier:
    """A classifier by name, whose network is the same for all who ask for it."""
    named, keywords = model in classifiers.REGISTRY.entries, {"device": device}
    spec = model if named else f"timm:{model},pretrained={str(pretrained).lower()},seed={seed}"
    judge = None if model == FOCUS else classifiers.create(spec, **keywords)
    if not isinstance(judge, VitClassifier):
        raise ValueError(f"{model!r} is no transformer with classes, whose gradient could be taken")
    return judge
