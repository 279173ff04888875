"""DINO: a vision transformer with its linear head (Caron et al. 2021), the paper's classifier.

Hidden tokens are dropped, not masked: nothing is computed for them. Patch projection and position
embedding are done once an episode; the transformer runs on [CLS] and the revealed tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from saccade_env.classifiers import vit, weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.dino_network import (
    FILES,
    DinoNetwork,
    advice,
    build_backbone,
    load_network,
)
from saccade_env.geometry import grid_of

_LAST_LAYERS = 4


class DinoClassifier:
    """A DINO network and its linear head; see :func:`load` and :meth:`from_state_dicts`.

    Args:
        network: The backbone.
        head: Linear layer on [CLS] of the last 4 layers (ViT-S), or on [CLS] and the mean patch of
            the last layer, interleaved (ViT-B), as the official linear evaluation builds them.
        image_size: (height, width) of the images in pixels.
        name: What reports call it.
        origin: Where the weights came from.
    """

    def __init__(
        self,
        network: DinoNetwork,
        head: nn.Linear,
        image_size: tuple[int, int] = (224, 224),
        name: str = "dino",
        origin: Weights | None = None,
    ) -> None:
        self.network, self.device = network, network.device
        self.head = head.eval().requires_grad_(False).to(self.device)
        self.patch_size = network.patch_size
        self.grid = grid_of(image_size, self.patch_size)
        self.name, self.num_classes = name, head.out_features
        self.weights = origin or network.weights
        self._interleaved = head.in_features == 2 * network.backbone.embed_dim

    @classmethod
    def from_state_dicts(
        cls,
        backbone: Mapping[str, Tensor],
        head: Mapping[str, Any],
        num_heads: int | None = None,
        device: str | torch.device = "cpu",
        **keywords: Any,
    ) -> DinoClassifier:
        """Build a classifier of the width, depth and patch size that the tensors have.

        Args:
            backbone: The official state dict.
            head: The official linear layer, whatever the prefix of its ``linear.weight``.
            num_heads: Attention heads; by default width / 64, as in every published DINO.
            device: Where it runs.
            **keywords: To :class:`DinoClassifier`.

        Raises:
            WeightsError: The tensors are not those of a DINO network and its head.
        """
        network = DinoNetwork(build_backbone(backbone, num_heads), device)
        return cls(network, build_head(head, network.backbone.embed_dim), **keywords)

    @torch.no_grad()
    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens embed"]:
        """Patch projection and positions, once an episode."""
        return self.network.tokens(images)

    @torch.no_grad()
    def classify(
        self, memory: Float[Tensor, "batch tokens embed"], revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        """Logits of the linear head on the revealed tokens; the others are dropped."""
        return self.head(self.features(memory, revealed)), memory

    def features(
        self, memory: Float[Tensor, "batch tokens embed"], revealed: Bool[Tensor, "batch rows cols"]
    ) -> Float[Tensor, "batch features"]:
        """What the linear head reads: final-norm [CLS] of the last 4 layers, oldest first (ViT-S).

        For ViT-B, [CLS] and the mean revealed patch of the last layer, interleaved; the mean is 0
        where nothing is revealed.
        """
        tokens, real = vit.drop_hidden(memory, revealed.flatten(1).to(memory.device))
        mask = None if bool(real.all()) else real[:, None, None]
        norm, classes = self.network.backbone.norm, []
        for block in self.network.blocks:
            tokens = block(tokens, attn_mask=mask)
            classes.append(tokens[:, 0])
        if self._interleaved:
            return _cls_and_mean(norm(tokens), real)
        return norm(torch.stack(classes[-_LAST_LAYERS:], dim=1)).flatten(1)

    def attention_map(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        layer: int = -1,
        resolution: int | tuple[int, int] | None = None,
        reduction: str = "max",
    ) -> Float[Tensor, "batch rows cols"]:
        """Attention from [CLS] to the patches on this classifier's grid.

        See :meth:`saccade_env.classifiers.dino_network.DinoNetwork.attention_map`.
        """
        return self.network.attention_map(images, self.grid, layer, resolution, reduction)


def load(
    name: str, device: str | torch.device = "cpu", image_size: tuple[int, int] = (224, 224)
) -> DinoClassifier:
    """One of the published classifiers: ``dino_vits16`` (the paper's), ``dino_vits8`` and so on.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
    """
    network = load_network(name, device)
    file = f"{FILES[name]}-linear"
    state = weights.load(file)
    try:
        head = build_head(state, network.backbone.embed_dim)
    except weights.WeightsError as error:
        raise weights.WeightsError(f"{error} {advice(file, name)}") from error
    origin = _both(network.weights, weights.record(file))
    return DinoClassifier(network, head, image_size, name, origin)


def build_head(state: Mapping[str, Any], width: int) -> nn.Linear:
    """The linear layer from the official file, in which it is nested and prefixed.

    Raises:
        WeightsError: The tensors are not those of a head for a network of this width.
    """
    nested = state.get("state_dict", state)
    tensors = {key.rpartition("linear.")[2]: value for key, value in dict(nested).items()}
    if set(tensors) != {"weight", "bias"} or tensors["weight"].dim() != 2:
        raise weights.WeightsError(f"no linear head: expected weight and bias; got {list(nested)}")
    classes, features = tensors["weight"].shape
    if tensors["bias"].shape != (classes,):
        raise weights.WeightsError(f"no linear head: {classes} rows, bias {tensors['bias'].shape}")
    if features not in (2 * width, _LAST_LAYERS * width):
        raise weights.WeightsError(
            f"the head reads {features} features; a network of width {width} gives "
            f"{_LAST_LAYERS * width} ([CLS] of 4 layers) or {2 * width} ([CLS] and mean patch)"
        )
    head = nn.utils.skip_init(nn.Linear, features, classes)
    head.load_state_dict(tensors)
    return head


def _cls_and_mean(
    tokens: Float[Tensor, "batch kept embed"], real: Bool[Tensor, "batch kept"]
) -> Float[Tensor, "batch features"]:
    """[CLS] and mean patch stacked on the last axis, then flattened: interleaved (official)."""
    patches = real[:, 1:, None]
    mean = (tokens[:, 1:] * patches).sum(1) / patches.sum(1).clamp(min=1)
    return torch.stack((tokens[:, 0], mean), dim=-1).flatten(1)


def _both(backbone: Weights, head: Weights) -> Weights:
    return Weights(f"{backbone.source} + {head.source}", f"{backbone.sha256} + {head.sha256}")
