"""Vision transformers as classifiers of partly revealed images.

Hidden tokens are dropped, not masked: nothing is computed for them. Patch projection and position
embedding are done once an episode; the transformer runs on its own tokens and the revealed ones.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.runtime import (
    Autocast,
    Mode,
    autocast,
    check_autocast,
    check_flag,
    check_mode,
)
from saccade_env.classifiers.vit import kv_cache, packing
from saccade_env.classifiers.vit.heads import Head
from saccade_env.classifiers.vit.kv_cache import KVMemory
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.geometry import grid_of


class VitClassifier(Classifier):
    """A transformer and its head.

    Args:
        network: The backbone.
        head: Reads its tokens.
        mode: ``"recompute"`` (the paper's) computes all revealed tokens at every saccade,
            ``"kv_cache"`` only the new ones and the prefix: another model, see ``kv_cache.py``.
        refresh_every: With ``"kv_cache"``, compute all of them every so many saccades; 0 never.
        autocast: ``"bfloat16"`` or ``"float16"`` for matrix products, for GPUs.
        compile: Compile the layers with ``torch.compile``, for GPUs.
        image_size: (height, width) of the images in pixels.
        name: What reports call it.
        origin: Where the weights came from.

    Raises:
        ValueError: There is no such mode or type, or ``refresh_every`` does not go with the mode.
    """

    def __init__(
        self,
        network: TokenNetwork,
        head: Head,
        mode: Mode = "recompute",
        refresh_every: int = 0,
        autocast: Autocast | None = None,
        compile: bool = False,
        *,
        image_size: tuple[int, int] = (224, 224),
        name: str = "vit",
        origin: Weights | None = None,
    ) -> None:
        whole = isinstance(refresh_every, int) and refresh_every >= 0
        if not whole or (refresh_every and check_mode(mode) != "kv_cache"):
            raise ValueError(
                "refresh_every must be a whole number ≥ 0, and goes with mode='kv_cache'; "
                f"got {refresh_every!r} with mode={mode!r}"
            )
        self.mode, self.refresh_every = check_mode(mode), refresh_every
        self.network, self.head, self.device = network, head, network.device
        self.patch_size, self.image_size = network.patch_size, image_size
        self.grid = grid_of(image_size, self.patch_size)
        self.name, self.num_classes = name, head.num_classes
        self.weights = origin or network.weights
        self.autocast, self.compile = check_autocast(autocast), check_flag("compile", compile)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "refresh_every": self.refresh_every,
            "autocast": self.autocast,
            "compile": self.compile,
        }

    @property
    def recomputing(self) -> VitClassifier:
        if self.mode == "recompute":
            return self
        other = copy.copy(self)
        other.mode, other.refresh_every = "recompute", 0
        return other

    @torch.no_grad()
    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens embed"] | KVMemory:
        """Patch projection and positions, once an episode."""
        with autocast(self.device, self.autocast):
            tokens = self.network.tokens(images).float()
        if self.mode == "kv_cache":
            return kv_cache.begin(tokens, self.network.prefix)
        return tokens

    @torch.no_grad()
    def classify(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Any]:
        """Logits of the head on the revealed tokens; the others are dropped."""
        with autocast(self.device, self.autocast):
            features, memory = self._features(memory, revealed)
            return self.head.logits(features).float(), memory

    @torch.no_grad()
    def features(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> Float[Tensor, "batch features"]:
        """What the last linear layer reads, see :mod:`saccade_env.classifiers.vit.heads`."""
        return self._features(memory, revealed)[0]

    def _features(self, memory: Any, revealed: Tensor) -> tuple[Tensor, Any]:
        seen = revealed.cpu()
        if self.mode == "recompute":
            known = torch.zeros(len(seen), dtype=torch.long)
            return self._run(memory, seen, known, None), memory
        fresh, before, age = kv_cache.plan(memory, seen.flatten(1), self.refresh_every)
        store = kv_cache.store_of(memory)
        features = self._run(memory.tokens, fresh.view_as(seen), before.sum(-1), store)
        return features, kv_cache.advance(memory, seen.flatten(1), age, store)

    def _run(self, tokens: Tensor, fresh: Tensor, known: Tensor, store: Any) -> Tensor:
        run = packing.run_blocks(self.network, tokens, fresh, known, store, self.compile)
        return self.head.features(run)
