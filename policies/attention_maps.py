"""Where a vision transformer attends: three maps of an image.

What one layer attends to, what flows through all layers up to one (rollout), and attention weighed
by the gradient of the class that the network believes in. Each is that of [CLS] to the patches; in
a network without [CLS], of all its tokens, averaged.
"""

from __future__ import annotations

from contextlib import nullcontext
from numbers import Integral
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.runtime import autocast
from saccade_env.classifiers.vit.attention import Attending, attention_weights, weights_of
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.classifiers.vit.packing import Seen
from saccade_env.errors import unknown_name
from saccade_env.geometry import Grid, grid_of, resize_map

Reduction = Literal["max", "mean"]
Resolution = int | tuple[int, int] | None
REDUCTIONS: dict[str, Any] = {"max": torch.amax, "mean": torch.mean}  # over the heads


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
    rows, own = _attention(network, images, layer, resolution, reduction)
    return _to_map(network, REDUCTIONS[reduction](rows, dim=1), own, grid)


@torch.no_grad()
def attention_heads(
    network: TokenNetwork,
    images: Shaped[Tensor, "batch 3 height width"],
    grid: Grid,
    layer: int = -1,
    resolution: Resolution = None,
) -> Float[Tensor, "batch heads rows cols"]:
    """The maps that :func:`attention_map` reduces, one a head; args and errors as there."""
    rows, own = _attention(network, images, layer, resolution)
    heads = rows.shape[1]
    return _to_map(network, rows.flatten(0, 1), own, grid).unflatten(0, (-1, heads))


def _attention(
    network: TokenNetwork,
    images: Tensor,
    layer: int,
    resolution: Resolution,
    reduction: Reduction = "max",
) -> tuple[Float[Tensor, "batch heads tokens"], Grid]:
    """Attention to all tokens in one layer, and the grid of the patches among them."""
    layer, own, tokens, rotations = _begun(network, images, layer, resolution, reduction)
    for number in range(layer):
        tokens = network.blocks[number](tokens, **network.rotated(number, rotations))
    beside = network.rotated(layer, rotations)
    return attention_weights(network.blocks[layer], tokens, _queries(network), **beside).mean(
        2
    ), own


class _Rolled(Attending):
    """Multiplies the attention of every layer, and its residual connection, to one matrix."""

    def __init__(self, reduction: Reduction) -> None:
        super().__init__()
        self._reduction, self.rolled = reduction, torch.eye(1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = weights_of(q, k)
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
    layer, own, tokens, rotations = _begun(network, images, layer, resolution, reduction)
    with _Rolled(reduction) as rolled:
        for number in range(layer + 1):
            tokens = network.blocks[number](tokens, **network.rotated(number, rotations))
    return _to_map(network, rolled.rolled[:, _queries(network)].mean(1), own, grid)


class _Kept(Attending):
    """Keeps the attention of one layer."""

    weights: Tensor

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.weights = weights_of(q, k)
        return self.weights @ v


class _Watched(_Kept):
    """Makes the attention of one layer something that gradients are taken of."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.weights = weights_of(q, k).detach().requires_grad_()
        return self.weights @ v


@torch.no_grad()
def logits_and_attention(
    judge: VitClassifier, images: Shaped[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch rows cols"]]:
    """Logits of whole images, and :func:`attention_map` in the last layer, from one forward.

    Raises:
        ValueError: Its layers have no attention of their own.
    """
    with autocast(judge.device, judge.autocast):
        begun, kept = _begun(judge.network, images, -1, None, "max"), _Kept()
        logits = _judged(judge, begun, kept).float()
    rows = kept.weights[:, :, _queries(judge.network)].mean(2)
    return logits, _to_map(judge.network, rows.amax(1), begun[1], judge.grid)


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
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has set
        begun = _begun(network, images.clone(), layer, resolution, reduction)
        logits = _judged(judge, begun, watched := _Watched())
        [gradient] = torch.autograd.grad(logits.amax(-1).sum(), watched.weights)
    rows = (gradient * watched.weights.detach()).clamp(min=0)[:, :, _queries(network)]
    return _to_map(network, REDUCTIONS[reduction](rows.mean(2), dim=1), begun[1], grid)


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


class _Begun(NamedTuple):
    layer: int  # from 0
    grid: Grid  # of the images as they are looked at
    tokens: Float[Tensor, "batch tokens embed"]
    rotations: Tensor | None


def _judged(
    judge: VitClassifier, begun: _Begun, watching: Attending
) -> Float[Tensor, "batch classes"]:
    """Logits of whole images; the attention of one layer is watched."""
    network, tokens, firsts = judge.network, begun.tokens, []
    for number, block in enumerate(network.blocks):
        with watching if number == begun.layer else nullcontext():
            tokens = block(tokens, **network.rotated(number, begun.rotations))
        firsts.append(tokens[:, 0])
    held = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return judge.head.logits(judge.head.features(Seen(firsts, tokens, held)))


def _begun(
    network: TokenNetwork, images: Tensor, layer: int, resolution: Any, reduction: str
) -> _Begun:
    """Tokens of the images, at the resolution asked for."""
    layer, size = check_attention(network, layer, reduction, resolution)
    pixels, patch = network.normalise(images), network.patch_size
    given = (pixels.shape[-2], pixels.shape[-1])
    whole = tuple(max(1, round(side / patch)) * patch for side in given)
    size = size or network.input_size or (whole[0], whole[1])
    if size != given:
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    own = grid_of(size, patch)
    return _Begun(layer, own, network.tokens(pixels), network.rotations(own))


def _queries(network: TokenNetwork) -> slice:
    return slice(0, 1) if network.backbone.cls_token is not None else slice(None)


def _to_map(
    network: TokenNetwork, row: Float[Tensor, "batch tokens"], own: Grid, grid: Grid
) -> Float[Tensor, "batch rows cols"]:
    patches = row[:, network.prefix :].float()
    return resize_map(patches.unflatten(1, own), grid)
