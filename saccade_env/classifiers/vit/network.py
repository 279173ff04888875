"""A frozen vision transformer as tokens, layers and attention; classifiers and policies share it.

A sequence begins with the network's own tokens, the *prefix*: [CLS], registers, a distillation
token, or none. The patches follow in row-major order.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.runtime import on_device, settle
from saccade_env.images.normalise import MEAN, STD, Colour, normalise_imagenet


class TokenNetwork:
    """A transformer of timm's, for images of any size.

    Args:
        backbone: timm's VisionTransformer or Eva, built with ``dynamic_img_size=True``.
        device: Where it runs.
        origin: Where the weights came from.
        mean: RGB value, 0 to 1, that normalises to 0.
        std: RGB range, 0 to 1, that normalises to 1.

    Attributes:
        input_size: (height, width) in pixels that it was made for; None if there is none.
    """

    input_size: tuple[int, int] | None = None

    def __init__(
        self,
        backbone: nn.Module,
        device: str | torch.device = "cpu",
        origin: Weights | None = None,
        mean: Colour = MEAN,
        std: Colour = STD,
    ) -> None:
        self.device = torch.device(device)
        settle(self.device)
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
        images = on_device(images, self.device)
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

    def rotations(self, grid: tuple[int, int]) -> Float[Tensor, "*layers tokens angles"] | None:
        """Rotary positions of every token of a grid, none for the prefix; None without them.

        Sines and cosines side by side, as timm has them; for each layer and head where they differ.
        """
        rope = getattr(self.backbone, "rope", None)
        if rope is None:
            return None
        found = rope.get_embed(shape=list(grid))
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
