"""Classifiers and policies leave the process as it was, and do not depend on how it is set up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from saccade_env import classifiers, policies
from saccade_env.classifiers import weights
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.policies import focus, gbvs
from saccade_env.policies.attention import AttentionPolicy
from saccade_env.policies.unisal_network import UNISAL

IMAGES = torch.randint(
    0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


@cache
def tensors() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Random weights of a small network, and of its head."""
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(embed_dim=64, depth=4, num_heads=1, num_classes=0)
        head = {"weight": torch.randn(10, 256), "bias": torch.zeros(10)}
    return network.state_dict(), head


def dino(**keywords: Any) -> VitClassifier:
    return from_state_dicts(*tensors(), **keywords)


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "dino": dino,
    "dino with a cache": lambda: dino(mode="kv_cache"),
    **{name: lambda name=name: classifiers.create(name) for name in classifiers.available()},
}
POLICIES: dict[str, Callable[[], Any]] = {
    "dino": lambda: AttentionPolicy(dino().network, layer=1, resolution=160),
    "unisal": lambda: policies.create("unisal", input_size=(64, 96)),
    **{name: lambda name=name: policies.create(name) for name in policies.available()},
}


@pytest.fixture
def fresh(map_folder: Path) -> Iterator[Callable[[], None]]:
    """Forget what the process has loaded; UNISAL's published weights are random ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNISAL()
        for name, tensor in network.named_parameters():  # initial maps would be nearly flat
            if "smoothing" in name:
                torch.nn.init.constant_(tensor, 1 / tensor.numel())
            elif tensor.ndim == 4:
                torch.nn.init.kaiming_normal_(tensor)
    place = weights.TABLE["unisal"].place
    place.parent.mkdir(parents=True)
    torch.save(network.state_dict(), place)

    def forget() -> None:
        for cached in (focus._load, gbvs._closeness, weights._shared):
            cached.cache_clear()

    forget()
    yield forget
    forget()


def logits(classifier: Any) -> torch.Tensor:
    memory, revealed = classifier.begin(IMAGES), torch.zeros(2, 14, 14, dtype=torch.bool)
    revealed[0, 3:9, 4:10] = True
    found: torch.Tensor = classifier.classify(memory, revealed)[0]
    return found


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("build", [*CLASSIFIERS.values(), *POLICIES.values()])
def test_building_draws_no_random_number(build: Callable[[], Any]) -> None:
    before = torch.random.get_rng_state()
    build()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture
def in_float64(fresh: Callable[[], None]) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Call something that finds nothing loaded, and float64 as PyTorch's default."""

    def call(what: Callable[[], Any]) -> Any:
        fresh()
        torch.set_default_dtype(torch.float64)
        return what()

    yield call
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("build", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_are_float32_whatever_the_default(
    build: Callable[[], Any], in_float64: Any
) -> None:
    expected = logits(build())
    found = in_float64(lambda: logits(build()))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("build", POLICIES.values(), ids=POLICIES)
def test_maps_are_float32_whatever_the_default(build: Callable[[], Any], in_float64: Any) -> None:
    expected = build().saliency_map(IMAGES)
    found = in_float64(lambda: build().saliency_map(IMAGES))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
