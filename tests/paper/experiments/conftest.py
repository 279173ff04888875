"""The paper's experiments with small classifiers and maps, on the shipped sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saccade_env import policies
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.config import SaccadeConfig
from saccade_env.geometry import resize_map
from saccade_env.paper.settings import PaperSettings
from saccade_env.policies import SaliencyPolicy
from saccade_env.registry import parse_spec, read_parameters

DEPTH = 3


class LayeredPolicy(SaliencyPolicy):
    """Brightness, seen ever more coarsely: stands for attention by layers."""

    name = "focus-attention"

    def __init__(self, layer: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.layer = layer % DEPTH

    def saliency_map(self, images: Tensor) -> Tensor:
        small = resize_map(images.float().mean(1), (7 - 2 * self.layer,) * 2, mode="area")
        return resize_map(small, self.grid)


class DinoLike(LayeredPolicy):
    """One that sees small inputs too, as DINO does."""

    name, patch_size = "dino", 16

    def __init__(self, resolution: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.resolution = resolution

    def saliency_map(self, images: Tensor) -> Tensor:
        side = (self.resolution or 224) // 16
        return resize_map(resize_map(super().saliency_map(images), (side, side)), self.grid)


SMALL: dict[str, type[LayeredPolicy]] = {
    "focus-attention": LayeredPolicy, "focus-saliency": LayeredPolicy, "dino": DinoLike
}  # fmt: skip


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., Any]:
    """The real policies that are fast, and small ones in place of networks."""

    def make(name: str, grid: tuple[int, int]) -> Any:
        base, parameters = parse_spec(name)
        if base not in SMALL:
            return policies.create(name, grid=grid)
        build: Any = SMALL[base]
        return build(grid=grid, **read_parameters(build, parameters, base))

    return make


@pytest.fixture(scope="session")
def cropper() -> CnnClassifier:
    """A network that takes any size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 1000))
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return CnnClassifier("small", network, mean, std, Weights("random, seed 0", "-"))


@pytest.fixture
def settings(make_linear: Any, cropper: Any, sample: Any, tmp_path: Any) -> Callable[..., Any]:
    """Settings with the small networks; keywords change them."""

    def build(**changes: Any) -> PaperSettings:
        small = {
            "images": sample, "out": tmp_path / "out", "crop_classifier": cropper,
            "config": SaccadeConfig(max_saccades=2),
            "classifier": lambda size: make_linear(size, num_classes=1000), "batch_size": 2,
            "progress": False, "workers": 0, "limit": 5,
        }  # fmt: skip
        return PaperSettings(**{**small, **changes})

    return build
