"""What is timed: classifiers, pictures, and the loops that people write without this package."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from saccade_env import geometry, images
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.dino.classifier import DinoClassifier
from saccade_env.images import ImageSource, Picture


def seconds(function: Callable[..., object], *arguments: object) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


class NullClassifier(Classifier):
    """Costs nothing: what remains is the environment's own time."""

    name, grid, patch_size, num_classes = "null", (14, 14), 16, 1000
    weights = Weights("none", "-")

    def begin(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, 0].float()

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(revealed), self.num_classes), memory


class Repeated:
    """A source of ``count`` pictures that are read again and again from a smaller one.

    With ``decoded=True`` the pictures are held in memory instead.
    """

    def __init__(self, source: ImageSource, count: int, decoded: bool = False) -> None:
        self._source, self._count = source, count
        self.name, self.image_size, self.labels = source.name, source.image_size, source.labels
        self.class_names, self.identity = source.class_names, source.identity
        self.preprocess = source.preprocess
        distinct = min(count, len(source))
        self._held = [source[i] for i in range(distinct)] if decoded else None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Picture:
        place = i % len(self._source)
        picture = self._held[place] if self._held else self._source[place]
        return picture._replace(id=self.id(i))

    def id(self, i: int) -> str:
        return f"{i:06d}/{self._source.id(i % len(self._source))}"


class Sweep:
    """A policy that costs nothing: the open cells one after the other."""

    name, sees_full_image = "sweep", False

    def reset(self, images: Tensor) -> None: ...

    def act(self, view: Any) -> Tensor:
        return (~view.inhibition).flatten(1).byte().argmax(-1)


def vit_small() -> DinoClassifier:
    """DINO ViT-S/16; with random weights where the real ones are not cached: just as fast."""
    from saccade_env.classifiers import available, create

    if "dino_vits16" in available():
        return create("dino_vits16")  # type: ignore[return-value]
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        network = VisionTransformer(patch_size=16, embed_dim=384, num_heads=6, num_classes=0)
        head = {"linear.weight": torch.randn(1000, 1536) / 40, "linear.bias": torch.zeros(1000)}
    return DinoClassifier.from_state_dicts(network.state_dict(), head, name="dino_vits16")


def pictures(folder: str | None) -> ImageSource:
    """The images to run on; the sample by default."""
    return images.create(folder or "sample")


def scanpaths(rows: int, saccades: int, tokens: int = 196) -> Tensor:
    """Random actions, int64 [saccades, rows]; no row looks at one place twice."""
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(tokens, generator=generator) for _ in range(rows)])
    return order[:, :saccades].T.contiguous()


def token_sets(actions: Tensor, fovea: int = 3) -> list[Tensor]:
    """What is revealed after every saccade, bool [rows, 14, 14] each."""
    windows = geometry.fovea_windows((14, 14), fovea, torch.device("cpu"))[actions]
    return [windows[: saccade + 1].any(0) for saccade in range(len(actions))]


def loop_sparse(classifier: DinoClassifier, pixels: Tensor, sets: list[Tensor]) -> None:
    """One image after the other, revealed tokens only."""
    for row in range(len(pixels)):
        memory = classifier.begin(pixels[row, None])
        for revealed in sets:
            classifier.classify(memory, revealed[row, None])


@torch.no_grad()
def loop_dense(classifier: DinoClassifier, pixels: Tensor, sets: list[Tensor]) -> None:
    """One image after the other, all tokens, hidden ones kept out of attention by a mask."""
    network = classifier.network
    for row in range(len(pixels)):
        start = network.tokens(pixels[row, None])
        for revealed in sets:
            mask = F.pad(revealed[row].flatten(), (1, 0), value=True)[None, None, None]
            tokens, classes = start, []
            for block in network.blocks:
                tokens = block(tokens, attn_mask=mask)
                classes.append(tokens[:, 0])
            classifier.head(network.backbone.norm(torch.stack(classes[-4:], 1)).flatten(1))
