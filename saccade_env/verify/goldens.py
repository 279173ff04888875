"""The paper's networks at full size, held against what the original code computes.

The files in ``goldens/`` hold what the official DINO and UNISAL compute from the weights and
pictures of :mod:`.seeded`. Nothing is downloaded: it is the networks that are proven here, where
published weights are known by their hashes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from saccade_env.classifiers import weights
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import DinoNetwork
from saccade_env.classifiers.vit.heads import LinearHead
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of
from saccade_env.images.normalise import normalise_imagenet
from saccade_env.policies.attention_maps import attention_heads
from saccade_env.verify import seeded

NETWORKS = ("dino_vits16", "dino_vits8", "dino_vitb16", "unisal")
_FOLDER = Path(__file__).parent / "goldens"
_SOME_LAYERS = (3, -1)  # whose attention is kept where it is not that of all
_KEPT = slice(2, None, 4)  # the rows and columns of UNISAL's pixels that are kept
# Of the largest value expected, or of 1. float32 leaves 5e-6 of it between processors.
_TOLERANCE = 1e-5

Pictures = UInt8[Tensor, "1 3 height width"]


class Difference(NamedTuple):
    """How far something is from what the original computes.

    Attributes:
        what: Network, size and values, such as ``dino_vits16 224x224 attention_cls``.
        largest: The largest absolute difference of a value; infinite if the shapes differ.
        tolerance: What it may be.
    """

    what: str
    largest: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is no larger than it may be; NaN is."""
        return self.largest <= self.tolerance


def check(
    names: Iterable[str] = NETWORKS, where: Collection[str] | None = None
) -> list[Difference]:
    """Compute with seeded weights what the originals did, and compare: half a minute for all.

    Args:
        names: Some of :data:`NETWORKS`.
        where: Only at these sizes in pixels, such as ``224x224``, or ``sparse``, where a
            classifier sees some tokens only.

    Raises:
        ValueError: There is no such network; the message suggests the nearest.
    """
    return [found for name in names for found in _differences(name, where)]


def _differences(name: str, where: Collection[str] | None) -> Iterator[Difference]:
    if name not in NETWORKS:
        raise unknown_name("network with goldens", name, NETWORKS)
    compute = (_unisal if name == "unisal" else _dino)(name)
    for key, expected in _stored(name).items():
        place, what = key.split(".", 1)
        if where is None or place in where:
            yield compare(f"{name} {place} {what}", compute(place, what, expected), expected)


def compare(what: str, found: Float[Tensor, "..."], expected: Float[Tensor, "..."]) -> Difference:
    """The largest difference between two tensors, beside what it may be."""
    same = found.shape == expected.shape
    largest = float((found - expected).abs().max()) if same else math.inf
    return Difference(what, largest, _TOLERANCE * max(1.0, float(expected.abs().max())))


def network_of(entry: str, prefix: str = "") -> Any:
    """The network of an entry of ``weights.TABLE`` with seeded weights; frozen, and evaluates.

    Args:
        entry: Its key.
        prefix: See :func:`.seeded.state_dict`.
    """
    network = weights.unfilled(entry)
    return weights.fill(network, seeded.state_dict(network.state_dict(), prefix), entry)


_Compute = Callable[[str, str, Tensor], Tensor]  # of a place and what is expected there


def _stored(name: str) -> dict[str, Tensor]:
    """What a network's original gave, by ``"<place>.<what>"``."""
    if name == "unisal":
        return load_file(_FOLDER / "unisal.safetensors")
    tag = name.removeprefix("dino_") + "."
    stored = load_file(_FOLDER / "dino.safetensors")
    return {key.removeprefix(tag): value for key, value in stored.items() if key.startswith(tag)}


def _size(place: str) -> tuple[int, int]:
    height, width = map(int, place.split("x"))
    return height, width


def _dino(name: str) -> _Compute:
    backbone, linear = weights.GROUPS[name]
    network = DinoNetwork(network_of(backbone))
    head = network_of(linear, f"{name.removeprefix('dino_')}.linear.")

    def compute(place: str, what: str, expected: Tensor) -> Tensor:
        if place == "sparse":
            return _dropping(VitClassifier(network, LinearHead(network, head)))[what]
        images = seeded.picture(*_size(place))[None]
        if what == "attention_cls":
            return _attention(network, images, len(expected))
        return _features(network, images, len(expected))

    return compute


def _attention(
    network: DinoNetwork, images: Pictures, layers: int
) -> Float[Tensor, "layers heads tokens"]:
    """Attention of [CLS] to the patches in all layers, or in two of them."""
    grid = grid_of((images.shape[-2], images.shape[-1]), network.patch_size)
    chosen = range(layers) if layers == len(network.blocks) else _SOME_LAYERS
    found = [attention_heads(network, images, grid, layer)[0] for layer in chosen]
    return torch.stack(found).flatten(2)


def _features(network: DinoNetwork, images: Pictures, count: int) -> Float[Tensor, " features"]:
    """What a linear head reads; which layers it reads follows from how much it does."""
    head = LinearHead(network, nn.utils.skip_init(nn.Linear, count, 1))
    judge = VitClassifier(network, head, image_size=(images.shape[-2], images.shape[-1]))
    everything = torch.ones(1, *judge.grid, dtype=torch.bool)
    return judge.features(judge.begin(images), everything)[0]


def _dropping(judge: VitClassifier) -> dict[str, Tensor]:
    """Features and logits where most tokens are dropped."""
    memory, seen = judge.begin(seeded.picture(224, 224)[None]), seeded.revealed(*judge.grid)[None]
    features = judge.features(memory, seen)[0]
    return {"features": features, "logits": judge.classify(memory, seen)[0][0]}


def _unisal(name: str) -> _Compute:
    network = network_of(name)

    @torch.no_grad()
    def compute(place: str, what: str, expected: Tensor) -> Tensor:
        source, kind = what.split(".")
        images = normalise_imagenet(seeded.picture(*_size(place))[None])
        return network(images, source=source, static=kind == "static")[0, _KEPT, _KEPT]

    return compute
