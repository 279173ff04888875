"""Policies that follow the attention of a vision transformer: DINO (the paper's), or any other.

Three maps: what one layer attends to, what flows through all layers up to one (rollout), and
attention weighed by the gradient of the class that the network believes in. Each is that of [CLS]
to the patches; in a network without [CLS], of all its tokens, averaged.
"""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env import classifiers
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.vit import dino, timm_models
from saccade_env.classifiers.vit.attention import Attending, attention_weights
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.classifiers.vit.packing import Seen
from saccade_env.errors import unknown_name
from saccade_env.geometry import Grid, grid_of, resize_map
from saccade_env.policies.base import SaliencyPolicy

Reduction = Literal["max", "mean"]
Resolution = int | tuple[int, int] | None
REDUCTIONS: dict[str, Any] = {"max": torch.amax, "mean": torch.mean}  # over the heads
FOCUS = "focus"


@torch.no_grad()
def attention_map(
    network: TokenNetwork,
    images: Shaped[Tensor, "batch 3 height width"],
    grid: Grid,
    layer: int = -1,
    resolution: Resolution = None,
    reduction: Reduction = "max",
) -> Float[Tensor, "batch rows cols"]:
    """Attention to the patches in one layer (paper, attention map, layers and resolutions).

    It is not renormalised after the columns of [CLS] and registers are dropped.

    Args:
        network: Whose attention.
        images: uint8, or normalised.
        grid: (rows, cols) wanted; a map of another grid is resized bilinearly.
        layer: Counted from 0, negative from the end; later layers are not computed.
        resolution: Resize the images to this (height, width) in pixels first (bilinear,
            antialiased); one number for a square. By default they are only brought to whole
            patches, and for the Focus ViT to 224 pixels.
        reduction: ``"max"`` (the paper) or ``"mean"`` over the heads.

    Raises:
        ValueError: No such layer, reduction or resolution.
    """
    layer, size = check_attention(network, layer, reduction, resolution)
    pixels = _prepared(network, images, size)
    tokens, rotations = network.tokens(pixels), network.rotations(_grid(network, pixels))
    for number in range(layer):
        tokens = network.blocks[number](tokens, **network.rotated(number, rotations))
    beside = network.rotated(layer, rotations)
    rows = attention_weights(network.blocks[layer], tokens, _queries(network), **beside)
    return _to_map(network, REDUCTIONS[reduction](rows.mean(2), dim=1), pixels, grid)


class _Rolled(Attending):
    """Multiplies the attention of every layer, and its residual connection, to one matrix."""

    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        self._reduction, self.rolled = reduction, torch.eye(1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1)
        fused = REDUCTIONS[self._reduction](weights, dim=1)
        still = torch.eye(q.shape[2], device=q.device)
        through = (fused / fused.sum(-1, keepdim=True) + still) / 2
        self.rolled = through @ self.rolled if self.rolled.dim() == 3 else through
        return weights @ v


@torch.no_grad()
def rollout_map(
    network: TokenNetwork,
    images: Shaped[Tensor, "batch 3 height width"],
    grid: Grid,
    layer: int = -1,
    resolution: Resolution = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "batch rows cols"]:
    """Attention rollout (Abnar and Zuidema 2020): the product of ½ (A + 1) over the layers.

    A is a layer's attention, averaged over its heads.

    Args:
        network: Whose attention.
        images: See :func:`attention_map`, also for the next two.
        grid: Likewise.
        layer: The last that counts, from 0, negative from the end.
        resolution: Likewise.
        reduction: ``"mean"`` (as Abnar and Zuidema) or ``"max"`` over the heads, whose rows are
            then made to add up to 1.

    Raises:
        ValueError: No such layer, reduction or resolution.
    """
    layer, size = check_attention(network, layer, reduction, resolution)
    pixels = _prepared(network, images, size)
    tokens, rotations = network.tokens(pixels), network.rotations(_grid(network, pixels))
    with _Rolled(reduction) as rolled:
        for number in range(layer + 1):
            tokens = network.blocks[number](tokens, **network.rotated(number, rotations))
    return _to_map(network, rolled.rolled[:, _queries(network)].mean(1), pixels, grid)


class _Watched(Attending):
    """Makes the attention of one layer something that gradients are taken of."""

    weights: Tensor

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        self.weights = scores.softmax(-1).detach().requires_grad_()
        return self.weights @ v


def gradient_map(
    judge: VitClassifier,
    images: Shaped[Tensor, "batch 3 height width"],
    grid: Grid,
    layer: int = -1,
    resolution: Resolution = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "batch rows cols"]:
    """Attention times its gradient, where positive (Chefer et al. 2021, equation 5).

    The gradient is that of the logit of the class that the network believes in, given the whole
    image.

    Args:
        judge: Whose attention and belief.
        images: See :func:`attention_map`, also for the next three.
        grid: Likewise.
        layer: Likewise.
        resolution: Likewise.
        reduction: ``"mean"`` (as Chefer et al.) or ``"max"`` over the heads.

    Raises:
        ValueError: No such layer, reduction or resolution.
    """
    network = judge.network
    layer, size = check_attention(network, layer, reduction, resolution)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has set
        pixels = _prepared(network, images.clone(), size)
        tokens, rotations = network.tokens(pixels), network.rotations(_grid(network, pixels))
        firsts, watched = [], _Watched()
        for number, block in enumerate(network.blocks):
            beside = network.rotated(number, rotations)
            if number == layer:
                with watched:
                    tokens = block(tokens, **beside)
            else:
                tokens = block(tokens, **beside)
            firsts.append(tokens[:, 0])
        held = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        logits = judge.head.logits(judge.head.features(Seen(firsts, tokens, held)))
        [gradient] = torch.autograd.grad(logits.amax(-1).sum(), watched.weights)
    rows = (gradient * watched.weights.detach()).clamp(min=0)[:, :, _queries(network)]
    return _to_map(network, REDUCTIONS[reduction](rows.mean(2), dim=1), pixels, grid)


def check_attention(
    network: TokenNetwork, layer: Any, reduction: str, resolution: Any
) -> tuple[int, tuple[int, int] | None]:
    """The layer counted from 0, and the resolution as (height, width).

    Raises:
        ValueError: There is no such layer, reduction or resolution.
    """
    depth, patch_size = len(network.blocks), network.patch_size
    if sum(hasattr(module, "fused_attn") for module in network.blocks[0].modules()) > 1:
        raise ValueError("its layers attend more than once, side by side: none is the layer's own")
    if not isinstance(layer, Integral) or not -depth <= int(layer) < depth:
        raise ValueError(f"layer must be {-depth} to {depth - 1}; got {layer!r}")
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", str(reduction), REDUCTIONS)
    if resolution is None:
        return int(layer) % depth, None
    size = (resolution, resolution) if isinstance(resolution, Integral) else resolution
    try:
        height, width = (int(side) for side in size if isinstance(side, Integral))
    except (TypeError, ValueError):
        raise ValueError(
            f"resolution must be a number of pixels, or (height, width); got {resolution!r}"
        ) from None
    if min(height, width) < patch_size:
        raise ValueError(f"resolution must be at least a patch of {patch_size} pixels; got {size}")
    if height % patch_size or width % patch_size:
        near = [max(1, round(side / patch_size)) * patch_size for side in (height, width)]
        raise ValueError(
            f"resolution must be a multiple of the patch size {patch_size}, such as "
            f"{near[0]}x{near[1]}; got {height}×{width}"
        )
    return int(layer) % depth, (height, width)


def _prepared(
    network: TokenNetwork, images: Tensor, size: tuple[int, int] | None
) -> Float[Tensor, "batch 3 height width"]:
    pixels, patch = network.normalise(images), network.patch_size
    own = (pixels.shape[-2], pixels.shape[-1])
    whole = tuple(max(1, round(side / patch)) * patch for side in own)
    size = size or network.input_size or (whole[0], whole[1])
    if size == own:
        return pixels
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)


def _grid(network: TokenNetwork, pixels: Tensor) -> Grid:
    return grid_of((pixels.shape[-2], pixels.shape[-1]), network.patch_size)


def _queries(network: TokenNetwork) -> slice:
    return slice(0, 1) if network.backbone.cls_token is not None else slice(None)


def _to_map(
    network: TokenNetwork, row: Float[Tensor, "batch tokens"], pixels: Tensor, grid: Grid
) -> Float[Tensor, "batch rows cols"]:
    patches = row[:, network.prefix :].float()
    return resize_map(patches.unflatten(1, _grid(network, pixels)), grid)


_USUAL = {"pretrained": True, "seed": 0}
_NAMES = {("attention", "dino_vits16"): "dino", ("attention", FOCUS): "focus-attention"}


def load_network(model: str, how: dict[str, Any], device: str | torch.device) -> TokenNetwork:
    """A network by name; a classifier's own where there is one of it.

    Raises:
        ValueError: There is no such network, or it does not attend.
        WeightsError: Its weights cannot be had.
    """
    own = model in dino.NETWORKS or model == FOCUS
    if own and how != _USUAL:
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
