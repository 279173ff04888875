"""DINO: a vision transformer with its linear head (Caron et al. 2021), the paper's classifier.

Hidden tokens are dropped, not masked: nothing is computed for them. Patch projection and position
embedding are done once an episode; the transformer runs on [CLS] and the revealed tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.dino import kv_cache, packing
from saccade_env.classifiers.dino.kv_cache import KVMemory
from saccade_env.classifiers.dino.network import (
    DinoNetwork,
    Reduction,
    Resolution,
    build_backbone,
    load_network,
)
from saccade_env.classifiers.runtime import Autocast, autocast, check_autocast, check_flag
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of

Mode = Literal["recompute", "kv_cache"]
LAST_LAYERS = 4


class DinoClassifier(Classifier):
    """A DINO network and its linear head; see :func:`load` and :meth:`from_state_dicts`.

    Args:
        network: The backbone.
        head: Linear layer on [CLS] of the last 4 layers (ViT-S), or on [CLS] and the mean patch of
            the last layer, interleaved (ViT-B), as the official linear evaluation builds them.
        image_size: (height, width) of the images in pixels.
        name: What reports call it.
        origin: Where the weights came from.
        mode: ``"recompute"`` (the paper's) computes all revealed tokens at every saccade,
            ``"kv_cache"`` only the new ones and [CLS]: another model, see ``kv_cache.py``.
        refresh_every: With ``"kv_cache"``, compute all of them every so many saccades; 0 never.
        autocast: ``"bfloat16"`` or ``"float16"`` for matrix products, for GPUs.
        compile: Compile the layers with ``torch.compile``, for GPUs.

    Raises:
        ValueError: There is no such mode or type, or ``refresh_every`` does not go with the mode.
        WeightsError: The head does not fit the network.
    """

    def __init__(
        self,
        network: DinoNetwork,
        head: nn.Linear,
        image_size: tuple[int, int] = (224, 224),
        name: str = "dino",
        origin: Weights | None = None,
        mode: Mode = "recompute",
        refresh_every: int = 0,
        autocast: Autocast | None = None,
        compile: bool = False,
    ) -> None:
        _check_mode(mode, refresh_every)
        width = network.backbone.embed_dim
        if head.in_features not in (2 * width, LAST_LAYERS * width):
            raise weights.WeightsError(
                f"the head reads {head.in_features} features; a network of width {width} gives "
                f"{LAST_LAYERS * width} ([CLS] of 4 layers) or {2 * width} ([CLS] and mean patch)"
            )
        self.network, self.device = network, network.device
        self.head = head.eval().requires_grad_(False).to(self.device)
        self.patch_size, self.image_size = network.patch_size, image_size
        self.grid = grid_of(image_size, self.patch_size)
        self.name, self.num_classes = name, head.out_features
        self.weights = origin or network.weights
        self.mode, self.refresh_every = mode, refresh_every
        self.autocast, self.compile = check_autocast(autocast), check_flag("compile", compile)
        self._interleaved = head.in_features == 2 * width

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
        tensors = weights.tensors_of(head, "the head")
        shape = tuple(tensors["weight"].shape) if "weight" in tensors else ()
        classes, features = shape if len(shape) == 2 else (1, 1)
        linear = weights.empty(lambda: nn.Linear(features, classes))
        return cls(network, weights.fill(linear, tensors, "a linear head"), **keywords)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "refresh_every": self.refresh_every,
            "autocast": self.autocast,
            "compile": self.compile,
        }

    @property
    def recomputing(self) -> DinoClassifier:
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
        return kv_cache.begin(tokens) if self.mode == "kv_cache" else tokens

    @torch.no_grad()
    def classify(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Any]:
        """Logits of the linear head on the revealed tokens; the others are dropped."""
        with autocast(self.device, self.autocast):
            features, memory = self._features(memory, revealed)
            return self.head(features).float(), memory

    @torch.no_grad()
    def features(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> Float[Tensor, "batch features"]:
        """What the linear head reads: final-norm [CLS] of the last 4 layers, oldest first (ViT-S).

        For ViT-B, [CLS] and the mean revealed patch of the last layer, interleaved; the mean is 0
        where nothing is revealed.
        """
        return self._features(memory, revealed)[0]

    def _features(self, memory: Any, revealed: Tensor) -> tuple[Tensor, Any]:
        seen = revealed.flatten(1).to(self.device)
        if self.mode == "recompute":
            known = torch.zeros(len(seen), dtype=torch.long, device=self.device)
            store = packing.Store(len(seen), 1 + int(seen.sum(-1).max()))
            return self._run(memory, seen, known, store)[0], memory
        fresh, known, age = kv_cache.plan(memory, seen, self.refresh_every)
        store = kv_cache.store_of(memory)
        before = memory.patch_sum * known.any(-1)[:, None]
        features, added = self._run(memory.tokens, fresh, known.sum(-1), store, before)
        return features, kv_cache.advance(memory, seen, age, added, store)

    def _run(
        self, tokens: Tensor, fresh: Tensor, known: Tensor, store: packing.Store, before: Any = 0.0
    ) -> tuple[Tensor, Any]:
        """The features, and the sum of the last layer's patches."""
        layout, norm = packing.lay_out(fresh), self.network.backbone.norm
        halves = packing.compiled_halves() if self.compile else packing.HALVES
        classes, last = packing.run_blocks(
            self.network.blocks, packing.pack(tokens, fresh), layout, known, store, halves
        )
        if not self._interleaved:
            return norm(torch.stack(classes[-LAST_LAYERS:], dim=1)).flatten(1), before
        last = norm(last)
        total = before + layout.pad(last)[:, 1:].sum(1)
        mean = total / (known + fresh.sum(-1)).clamp(min=1)[:, None]
        return torch.stack((last[layout.first], mean), dim=-1).flatten(1), total

    def attention_map(
        self,
        images: Shaped[Tensor, "batch 3 height width"],
        layer: int = -1,
        resolution: Resolution = None,
        reduction: Reduction = "max",
    ) -> Float[Tensor, "batch rows cols"]:
        """Attention from [CLS] to the patches on this classifier's grid.

        See :meth:`saccade_env.classifiers.dino.network.DinoNetwork.attention_map`.
        """
        return self.network.attention_map(images, self.grid, layer, resolution, reduction)


def load(
    mode: Mode = "recompute",
    refresh_every: int = 0,
    autocast: Autocast | None = None,
    compile: bool = False,
    *,
    name: str,
    device: str | torch.device = "cpu",
    image_size: tuple[int, int] = (224, 224),
) -> DinoClassifier:
    """One of the published classifiers: ``dino_vits16`` (the paper's), ``dino_vits8`` and so on.

    Args:
        mode: See :class:`DinoClassifier`, also for the next three.
        refresh_every: Likewise.
        autocast: Likewise.
        compile: Likewise.
        name: Which.
        device: Where it runs.
        image_size: (height, width) of the images in pixels.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
    """
    network, file = load_network(name, device), weights.GROUPS[name][1]
    head, both = weights.load(file), (network.weights, weights.record(file))
    origin = Weights(" + ".join(w.source for w in both), " + ".join(w.sha256 for w in both))
    return DinoClassifier(
        network, head, image_size, name, origin, mode, refresh_every, autocast, compile
    )


def _check_mode(mode: str, refresh_every: int) -> None:
    if mode not in get_args(Mode):
        raise unknown_name("classifier mode", str(mode), get_args(Mode))
    whole = isinstance(refresh_every, int) and refresh_every >= 0
    if not whole or (refresh_every and mode != "kv_cache"):
        raise ValueError(
            "refresh_every must be a whole number ≥ 0, and goes with mode='kv_cache'; "
            f"got {refresh_every!r} with mode={mode!r}"
        )
