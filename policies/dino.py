"""DINO attention: the paper's policy."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env.classifiers.vit.dino import DinoNetwork, NetworkName, load_network
from saccade_env.classifiers.vit.network import Reduction, Resolution, check_attention
from saccade_env.policies.base import SaliencyPolicy


class DinoPolicy(SaliencyPolicy):
    """Follows the attention from [CLS] to the patches in one layer of DINO (paper, section 3).

    The network is the classifier's own where both are DINO: it is loaded once.

    Args:
        network: ``dino_vits16`` (the paper's), ``dino_vits8``, ``dino_vitb16``, ``dino_vitb8``, or
            a DinoNetwork.
        layer: Counted from 0, negative from the end.
        resolution: Resize the image to this (height, width), or square, in pixels first.
        reduction: ``"max"`` (the paper) or ``"mean"`` over the heads.
        **keywords: ``grid``, ``device`` and ``cache``.

    Raises:
        ValueError: No such layer, reduction or resolution.
        WeightsError: The weights cannot be had.
    """

    name = "dino"
    maps_version = 1

    def __init__(
        self,
        network: NetworkName | DinoNetwork = "dino_vits16",
        layer: int = -1,
        resolution: Resolution = None,
        reduction: Reduction = "max",
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        loaded = load_network(network, self.device) if isinstance(network, str) else network
        self.layer, self.resolution = check_attention(
            layer, reduction, resolution, len(loaded.blocks), loaded.patch_size
        )
        self.reduction = reduction
        self.weights, self._network = loaded.weights, loaded

    @property
    def patch_size(self) -> int:
        """Pixels a side of the network's patches."""
        return self._network.patch_size

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        maps = self._network.attention_map(
            images, self.grid, self.layer, self.resolution, self.reduction
        )
        return maps.to(images.device)
