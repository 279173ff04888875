"""A policy that follows UNISAL's prediction of where people look.

Pictures are squashed to the network's size, so that a map's cells are the picture's, whatever
its shape. Source of network and weights: Droste, Jiao & Noble, "Unified Image and Video Saliency
Modeling", ECCV 2020 (weights Apache-2.0).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env.classifiers import weights
from saccade_env.errors import unknown_name
from saccade_env.geometry import resize_map
from saccade_env.images.normalise import normalise_imagenet
from saccade_env.policies.base import SaliencyPolicy
from saccade_env.policies.unisal_network import SOURCES, UNISAL, Source

_TOGETHER = 8  # pictures in one pass; more need more memory and are slower each


class UnisalPolicy(SaliencyPolicy):
    """Follows UNISAL's density of fixations, averaged over each token.

    Args:
        source: Data whose viewers to predict: ``"DHF1K"``, ``"Hollywood"``, ``"UCFSports"``
            (videos) or ``"SALICON"`` (pictures). Another is a ValueError.
        static: Skip the recurrent unit. Otherwise a picture is the first frame of a video,
            which is how the authors predict single pictures with the DHF1K source.
        input_size: (height, width) in pixels the network sees, each at least 1; the authors'
            is 224×384 for DHF1K. Another is a ValueError.
        network: Use this one instead of the published weights.
        **keywords: ``grid``, ``device`` and ``cache``.

    Attributes:
        weights: Where the published weights came from, and their SHA-256; a
            policy that was given its network has none.
    """

    name = "unisal"
    maps_version = 1

    def __init__(
        self,
        source: Source = "DHF1K",
        static: bool = False,
        input_size: tuple[int, int] = (224, 384),
        *,
        network: UNISAL | None = None,
        **keywords: Any,
    ) -> None:
        if source not in SOURCES:
            raise unknown_name("UNISAL source", source, SOURCES)
        if not isinstance(input_size, tuple) or len(input_size) != 2 or min(input_size) < 1:
            raise ValueError(f"input_size must be (height, width), each ≥ 1; got {input_size}")
        super().__init__(**keywords)
        self.source, self.static, self.input_size = source, static, (input_size[0], input_size[1])
        self._network = None if network is None else network.eval().to(self.device)
        self._cache = self._cache and network is None  # a given network has no hash
        if network is None:  # bad weights are reported now, not at the first picture
            weights.shared("unisal", self.device)
            self.weights = weights.record("unisal")

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        # Published weights are asked for, not held: pickles stay small.
        network = self._network or weights.shared("unisal", self.device)
        with torch.inference_mode():
            parts = [self._map_of(part, network) for part in images.split(_TOGETHER)]
        return torch.cat(parts)  # out of inference mode: an ordinary tensor, fit for autograd

    def _map_of(
        self, images: UInt8[Tensor, "batch 3 height width"], network: UNISAL
    ) -> Float[Tensor, "batch rows cols"]:
        pixels = normalise_imagenet(images.to(self.device), self.input_size)
        # Channels last in memory saves a tenth of the time on CPU.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        density = network(pixels, source=self.source, static=self.static).exp()
        return resize_map(density, self.grid, mode="area").to(images.device)
