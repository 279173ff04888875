"""The DINO backbone: tokens and attention maps on timm's network, with DINO's own positions.

Classifier and policy share it: see :func:`load_network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.runtime import keep_memory
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of, resize_map
from saccade_env.images.normalise import normalise_imagenet

NetworkName = Literal["dino_vits16", "dino_vits8", "dino_vitb16", "dino_vitb8"]
NETWORKS: tuple[str, ...] = get_args(NetworkName)
Reduction = Literal["max", "mean"]
Resolution = int | tuple[int, int] | None
REDUCTIONS: dict[str, Any] = {"max": torch.amax, "mean": torch.mean}  # over the heads


class DinoNetwork:
    """A frozen DINO backbone.

    Args:
        backbone: timm's VisionTransformer with DINO's weights.
        device: Where it runs.
        origin: Where the weights came from.
    """

    def __init__(
        self,
        backbone: nn.Module,
        device: str | torch.device = "cpu",
        origin: Weights | None = None,
    ) -> None:
        self.device = torch.device(device)
        keep_memory(self.device)
        network: Any = backbone  # timm's modules, whose attributes torch types as anything
        self.backbone = network.eval().requires_grad_(False).to(self.device)
        self.patch_size = int(self.backbone.patch_embed.patch_size[0])
        self.weights = origin or Weights("given as tensors", "-")

    @property
    def blocks(self) -> Any:
        """The layers."""
        return self.backbone.blocks

    def normalise(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """uint8 by ImageNet's mean and deviation; floating images are taken as they are."""
        images = images.to(self.device)
        if images.is_floating_point():
            return images.float()
        return normalise_imagenet(images)

    def tokens(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens embed"]:
        """[CLS] and the patches, with their positions, for images of any size."""
        grid = grid_of((images.shape[-2], images.shape[-1]), self.patch_size)
        patches = self.backbone.patch_embed.proj(self.normalise(images)).flatten(2).mT
        cls_token = self.backbone.cls_token.expand(len(images), -1, -1)
        positions = interpolate_positions(self.backbone.pos_embed, grid)
        return torch.cat((cls_token, patches), dim=1) + positions

    @torch.no_grad()
    def attention_map(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        grid: tuple[int, int],
        layer: int = -1,
        resolution: Resolution = None,
        reduction: Reduction = "max",
    ) -> Float[Tensor, "batch rows cols"]:
        """Attention from [CLS] to the patches (paper, attention map, layers and resolutions).

        Args:
            images: uint8, or normalised, of a size that is a multiple of the patch size.
            grid: (rows, cols) wanted; a map of another grid is resized bilinearly.
            layer: Counted from 0, negative from the end; later layers are not computed.
            resolution: Resize the images to this (height, width) in pixels first (bilinear,
                antialiased); one number for a square.
            reduction: ``"max"`` (the paper) or ``"mean"`` over the heads.

        Raises:
            ValueError: No such layer or reduction, or a size that is no multiple of the patch.
        """
        depth = len(self.blocks)
        layer, size = check_attention(layer, reduction, resolution, depth, self.patch_size)
        images = self.normalise(images)
        if size is not None:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        own = grid_of((images.shape[-2], images.shape[-1]), self.patch_size)
        tokens = self.tokens(images)
        for block in self.blocks[:layer]:
            tokens = block(tokens)
        block = self.blocks[layer]
        heads = cls_attention(block.attn, block.norm1(tokens))
        return resize_map(REDUCTIONS[reduction](heads, dim=1).unflatten(1, own), grid)


def check_attention(
    layer: Any, reduction: str, resolution: Any, depth: int, patch_size: int
) -> tuple[int, tuple[int, int] | None]:
    """The layer counted from 0, and the resolution as (height, width).

    Raises:
        ValueError: There is no such layer, reduction or resolution.
    """
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
    grid_of((height, width), patch_size)
    return int(layer) % depth, (height, width)


def load_network(name: str, device: str | torch.device = "cpu") -> DinoNetwork:
    """One of the four published networks; its layers are loaded once per process and device.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
        ValueError: No such network.
    """
    if name not in NETWORKS:
        raise unknown_name("DINO network", name, NETWORKS)
    backbone = weights.GROUPS[name][0]
    return DinoNetwork(weights.shared(backbone, device), device, weights.record(backbone))


def vision_transformer(
    width: int,
    patch_size: int,
    depth: int = 12,
    image_size: int = 224,
    num_heads: int | None = None,
) -> nn.Module:
    """A network of timm's as DINO has it; by default with a head for every 64 of its width."""
    from timm.models.vision_transformer import VisionTransformer

    heads = num_heads or max(width // 64, 1)
    if width % heads:
        raise ValueError(f"num_heads must divide the width {width}; got {heads}")
    return VisionTransformer(
        img_size=image_size,
        patch_size=patch_size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        num_classes=0,
    )


def build_backbone(state: Mapping[str, Tensor], num_heads: int | None = None) -> nn.Module:
    """Build timm's VisionTransformer of the width, depth and patch size of the tensors.

    Args:
        state: The official state dict; loaded strictly.
        num_heads: Attention heads; by default width / 64, as in every published DINO.

    Raises:
        WeightsError: The tensors are not those of a DINO network.
    """
    try:
        width, patch_size = state["cls_token"].shape[-1], state["patch_embed.proj.weight"].shape[-1]
        image_size = patch_size * int((state["pos_embed"].shape[1] - 1) ** 0.5)
        depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    except (KeyError, IndexError) as error:
        raise weights.WeightsError(
            f"these are not the weights of a DINO network: {error}"
        ) from error
    network = weights.empty(
        lambda: vision_transformer(width, patch_size, depth, image_size, num_heads)
    )
    return weights.fill(network, state, "a DINO network")


def interpolate_positions(
    positions: Float[Tensor, "1 tokens embed"], grid: tuple[int, int]
) -> Float[Tensor, "1 out embed"]:
    """Position embedding for another grid, as the official DINO code computes it.

    Bicubic without antialias; the scale factor is (side + 0.1) / √N, and the sampling follows that
    factor, not the size that results. timm's own interpolation differs by 4e-2.
    """
    side = int((positions.shape[1] - 1) ** 0.5)
    if grid == (side, side):
        return positions
    patches = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = tuple((length + 0.1) / side for length in grid)
    resized = F.interpolate(patches, scale_factor=scale, mode="bicubic")
    return torch.cat((positions[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def cls_attention(
    attention: Any, tokens: Float[Tensor, "batch tokens embed"]
) -> Float[Tensor, "batch heads patches"]:
    """Softmaxed attention from [CLS] to the patches, per head, not renormalised (paper).

    Fused attention never holds the weights, and this row of them needs k and one q alone.

    Args:
        attention: timm's attention module of one block.
        tokens: What enters it, normalised.
    """
    (w_q, w_k, _), (b_q, b_k, _) = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
    q = F.linear(tokens[:, 0], w_q, b_q).unflatten(-1, (attention.num_heads, -1))
    k = F.linear(tokens, w_k, b_k).unflatten(-1, (attention.num_heads, -1))
    scores = torch.einsum("bhd,bnhd->bhn", q * attention.scale, k)
    return scores.softmax(-1)[..., 1:]
