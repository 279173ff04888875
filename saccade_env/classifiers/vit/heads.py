"""From the tokens after the last layer to logits, where some patches were never seen.

A head reads [CLS] or pools over what there is; what pools over nothing gives 0.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from saccade_env.classifiers import weights
from saccade_env.classifiers.vit.attention import Masked
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.classifiers.vit.packing import Seen


class Head(Protocol):
    """What reads a network's tokens."""

    num_classes: int

    def features(self, seen: Seen) -> Float[Tensor, "batch features"]:
        """What the last linear layer reads."""

    def logits(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """The last linear layer."""


class LinearHead:
    """A linear layer on the features of DINO's and DINOv2's linear evaluations.

    It reads [CLS] after the final norm of the last 1 or 4 layers, oldest first, and the mean patch
    of the last layer, except with DINO's ViT-S. With DINO's ViT-B both are interleaved.

    Args:
        network: Whose tokens it reads.
        linear: The layer. How many features it reads tells which.

    Raises:
        WeightsError: It does not fit the network.
    """

    def __init__(self, network: TokenNetwork, linear: nn.Linear) -> None:
        width = network.backbone.embed_dim
        scaled = not isinstance(network.backbone.blocks[0].ls1, nn.Identity)  # DINOv2
        known = [(1, True), (4, True)] if scaled else [(4, False), (1, True)]
        fits = [each for each in known if sum(each) * width == linear.in_features]
        if not fits:
            listed = " or ".join(
                f"{(layers + mean) * width} ([CLS] of {layers}{', mean patch' * mean})"
                for layers, mean in known
            )
            raise weights.WeightsError(
                f"the head reads {linear.in_features} features; a network of width {width} gives "
                f"{listed}"
            )
        self.linear = linear.eval().requires_grad_(False).to(network.device)
        self.num_classes, self._norm = linear.out_features, network.backbone.norm
        self._layers, self._mean = fits[0]
        self._prefix, self._interleaved = network.prefix, not scaled

    def features(self, seen: Seen) -> Float[Tensor, "batch features"]:
        firsts = self._norm(torch.stack(seen.firsts[-self._layers :], dim=1))
        if not self._mean:
            return firsts.flatten(1)
        table = self._norm(seen.table[:, self._prefix :])
        mean = mean_of(table, seen.held[:, self._prefix :])[:, None]
        both = torch.cat((firsts, mean), dim=1)
        return (both.mT if self._interleaved else both).flatten(1)

    def logits(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        return self.linear(features)


class TimmHead:
    """The head a network of timm has: class token, average, maximum or attention pooling.

    Args:
        network: Whose head it is.

    Raises:
        ValueError: It pools in a way that is not known here.
    """

    def __init__(self, network: TokenNetwork) -> None:
        backbone = self._backbone = network.backbone
        self.num_classes, self._prefix = int(backbone.num_classes), network.prefix
        self._pool = "map" if backbone.attn_pool is not None else backbone.global_pool
        self._whole = bool(getattr(backbone, "pool_include_prefix", self._pool == "map"))
        if self._pool not in ("token", "avg", "max", "avgmax", "map"):
            raise ValueError(f"its pooling {self._pool!r} is not known here")
        self._both = getattr(backbone, "head_dist", None)  # a head of the distillation token

    def features(self, seen: Seen) -> Float[Tensor, "batch features"]:
        backbone, first = self._backbone, 0 if self._whole else self._prefix
        table, held = backbone.norm(seen.table), seen.held
        if self._both is not None:
            return table[:, :2].flatten(1)
        if self._pool == "token":
            pooled = table[:, 0]
        else:
            pooled = self._pooled(table[:, first:], held[:, first:])
        return backbone.fc_norm(pooled)

    def _pooled(self, table: Tensor, held: Tensor) -> Tensor:
        if self._pool == "map":
            if not table.shape[1]:
                return table.new_zeros(len(table), table.shape[-1])
            some = held.any(-1)
            with Masked(held | ~some[:, None]):  # attending to nothing at all is not defined
                return self._backbone.attn_pool(table) * some[:, None]
        mean = mean_of(table, held)
        if self._pool == "avg":
            return mean
        low = table.masked_fill(~held[..., None], -torch.inf)
        top = low.amax(1).nan_to_num(neginf=0.0) if table.shape[1] else mean
        return top if self._pool == "max" else 0.5 * (top + mean)

    def logits(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        if self._both is None:
            return self._backbone.head(features)
        classes, distilled = features.chunk(2, -1)
        return (self._backbone.head(classes) + self._both(distilled)) / 2


def mean_of(
    table: Float[Tensor, "batch longest embed"], held: Bool[Tensor, "batch longest"]
) -> Float[Tensor, "batch embed"]:
    """Mean of the tokens that are there; 0 of none."""
    total: Any = (table * held[..., None]).sum(1)
    return total / held.sum(1).clamp(min=1)[:, None]
