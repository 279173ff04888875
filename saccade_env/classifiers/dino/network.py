"""The DINO backbone: tokens and attention maps on timm's network, with DINO's own positions.

Classifier and policy share it: :func:`load_network` loads each network once per process and device.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.dino import vit
from saccade_env.classifiers.runtime import keep_memory
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of, resize_map
from saccade_env.images.normalise import normalise_imagenet

FILES = {  # our names, and those of the official release
    "dino_vits16": "dino_deitsmall16",
    "dino_vits8": "dino_deitsmall8",
    "dino_vitb16": "dino_vitbase16",
    "dino_vitb8": "dino_vitbase8",
}
_REDUCTIONS: dict[str, Any] = {"max": torch.amax, "mean": torch.mean}


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
        positions = vit.interpolate_positions(self.backbone.pos_embed, grid)
        return torch.cat((cls_token, patches), dim=1) + positions

    @torch.no_grad()
    def attention_map(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        grid: tuple[int, int],
        layer: int = -1,
        resolution: int | tuple[int, int] | None = None,
        reduction: str = "max",
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
        layer, size = self.check_attention(layer, reduction, resolution)
        images = self.normalise(images)
        if size is not None:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        own = grid_of((images.shape[-2], images.shape[-1]), self.patch_size)
        tokens = self.tokens(images)
        for block in self.blocks[:layer]:
            tokens = block(tokens)
        block = self.blocks[layer]
        heads = vit.cls_attention(block.attn, block.norm1(tokens))
        return resize_map(_REDUCTIONS[reduction](heads, dim=1).unflatten(1, own), grid)

    def check_attention(
        self, layer: Any, reduction: Any, resolution: Any
    ) -> tuple[int, tuple[int, int] | None]:
        """The layer counted from 0, and the resolution as (height, width).

        Raises:
            ValueError: There is no such layer, reduction or resolution.
        """
        depth = len(self.blocks)
        if not isinstance(layer, (int, np.integer)) or not -depth <= layer < depth:
            raise ValueError(f"layer must be {-depth} to {depth - 1}; got {layer!r}")
        if reduction not in _REDUCTIONS:
            raise unknown_name("reduction", str(reduction), _REDUCTIONS)
        return int(layer) % depth, self._size(resolution)

    def _size(self, resolution: Any) -> tuple[int, int] | None:
        if resolution is None:
            return None
        size = (resolution, resolution) if isinstance(resolution, Integral) else resolution
        try:
            height, width = (int(side) for side in size if isinstance(side, Integral))
        except (TypeError, ValueError):
            raise ValueError(
                f"resolution must be a number of pixels, or (height, width); got {resolution!r}"
            ) from None
        grid_of((height, width), self.patch_size)
        return height, width


def load_network(name: str, device: str | torch.device = "cpu") -> DinoNetwork:
    """One of the four published networks, once per process and device.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
        ValueError: No such network.
    """
    if name not in FILES:
        raise unknown_name("DINO network", name, FILES)
    return _load(name, torch.empty(0, device=device).device)  # "cuda" and "cuda:0" are the same


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # whoever asks first: the network stays an ordinary one
def _load(name: str, device: torch.device) -> DinoNetwork:
    file = f"{FILES[name]}-backbone"
    state = weights.load(file)
    try:
        backbone = build_backbone(state)
    except weights.WeightsError as error:
        raise weights.WeightsError(f"{error} {advice(file, name)}") from error
    return DinoNetwork(backbone, device, weights.record(file))


def advice(file: str, name: str) -> str:
    """What to do about a file that is in the cache and does not fit."""
    path = weights.path(file)
    if not path.is_file():
        return ""
    return f"(Delete {path} and {path}.sha256, then run `saccade-env download {name}`.)"


def build_backbone(state: Mapping[str, Tensor], num_heads: int | None = None) -> nn.Module:
    """Build timm's VisionTransformer of the width, depth and patch size of the tensors.

    Args:
        state: The official state dict; loaded strictly.
        num_heads: Attention heads; by default width / 64, as in every published DINO.

    Raises:
        WeightsError: The tensors are not those of a DINO network.
    """
    from timm.models.vision_transformer import VisionTransformer

    try:
        width, patch_size = state["cls_token"].shape[-1], state["patch_embed.proj.weight"].shape[-1]
        side = int((state["pos_embed"].shape[1] - 1) ** 0.5)
        depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    except (KeyError, ValueError) as error:
        raise weights.WeightsError(
            f"these are not the weights of a DINO network: {error}"
        ) from error
    heads = num_heads or max(width // 64, 1)
    if width % heads:
        raise ValueError(f"num_heads must divide the width {width}; got {heads}")
    with torch.random.fork_rng(devices=[]):  # building must not move the caller's random stream
        network = VisionTransformer(
            img_size=side * patch_size,
            patch_size=patch_size,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            num_classes=0,
        )
    weights.check_keys(state, network.state_dict(), "a DINO network")
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise weights.WeightsError(f"a tensor does not fit the DINO network: {error}") from error
    return network
