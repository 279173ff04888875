"""A frozen vision transformer as tokens, layers and attention; classifiers and policies share it.

A sequence begins with the network's own tokens, the *prefix*: [CLS], registers, a distillation
token, or none. The patches follow in row-major order.
"""

from __future__ import annotations

from functools import cached_property
from numbers import Integral
from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.runtime import keep_memory
from saccade_env.classifiers.vit.attention import attention_weights
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of, resize_map
from saccade_env.images.normalise import MEAN, STD, Colour, normalise_imagenet

Reduction = Literal["max", "mean"]
Resolution = int | tuple[int, int] | None
REDUCTIONS: dict[str, Any] = {"max": torch.amax, "mean": torch.mean}  # over the heads


class TokenNetwork:
    """A transformer of timm's, with its positions added token by token.

    Args:
        backbone: timm's VisionTransformer or Eva.
        device: Where it runs.
        origin: Where the weights came from.
        mean: RGB value, 0 to 1, that normalises to 0.
        std: RGB range, 0 to 1, that normalises to 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        device: str | torch.device = "cpu",
        origin: Weights | None = None,
        mean: Colour = MEAN,
        std: Colour = STD,
    ) -> None:
        self.device = torch.device(device)
        keep_memory(self.device)
        network: Any = backbone  # timm's modules, whose attributes torch types as anything
        self.backbone = network.eval().requires_grad_(False).to(self.device)
        self.patch_size = int(self.backbone.patch_embed.patch_size[0])
        self.weights = origin or Weights("given as tensors", "-")
        self._mean, self._std = mean, std

    @property
    def blocks(self) -> Any:
        """The layers."""
        return self.backbone.blocks

    @cached_property
    def compiled_blocks(self) -> list[Any]:
        """The layers through ``torch.compile``, for any number of tokens."""
        return [torch.compile(block, dynamic=True) for block in self.blocks]

    @property
    def prefix(self) -> int:
        """How many tokens of its own precede the patches."""
        return int(self.backbone.num_prefix_tokens)

    def normalise(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """uint8 by the network's mean and deviation; floating images are taken as they are."""
        images = images.to(self.device)
        if images.is_floating_point():
            return images.float()
        return normalise_imagenet(images, mean=self._mean, std=self._std)

    def tokens(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens embed"]:
        """Prefix and patches, with their positions where these are added."""
        backbone = self.backbone
        placed = backbone._pos_embed(backbone.patch_embed(self.normalise(images)))
        return backbone.norm_pre(placed[0] if isinstance(placed, tuple) else placed)

    def rotations(self) -> Float[Tensor, "*layers tokens angles"] | None:
        """Rotary positions of every token, none for the prefix; None without them.

        Sines and cosines side by side, as timm has them; for each layer and head where they differ.
        """
        rope = getattr(self.backbone, "rope", None)
        if rope is None:
            return None
        found = rope.get_embed(shape=self.backbone.patch_embed.grid_size)
        found = torch.stack(list(found)) if isinstance(found, list | tuple) else found
        still = found.new_zeros(*found.shape[:-2], self.prefix, found.shape[-1])
        still[..., still.shape[-1] // 2 :] = 1  # cosines: rotated by nothing
        return torch.cat((still, found), dim=-2)

    def rotated(self, layer: int, rotations: Tensor | None) -> dict[str, Tensor]:
        """What a layer takes beside the tokens."""
        if rotations is None:
            return {}
        mixed = getattr(self.backbone, "rope_mixed", False)
        return {"rope": rotations[layer] if mixed else rotations}

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

        Without [CLS] it is the attention that a patch receives, averaged over the queries.

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
        tokens, rotations = self.tokens(images), self.rotations()
        for number in range(layer):
            tokens = self.blocks[number](tokens, **self.rotated(number, rotations))
        queries = slice(0, 1) if self.backbone.cls_token is not None else slice(None)
        beside = self.rotated(layer, rotations)
        heads = attention_weights(self.blocks[layer], tokens, queries, **beside).mean(2)
        heads = heads[..., self.prefix :]
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
