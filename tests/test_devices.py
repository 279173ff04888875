"""Nothing mixes devices, and a saccade waits for the network's device once.

The device is ``meta``, whose tensors hold no values: whatever reads one there, or puts one together
with one of the CPU, fails here as it would on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from saccade_env import core
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import DinoNetwork, vision_transformer
from saccade_env.classifiers.vit.heads import LinearHead, TimmHead
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.config import SaccadeConfig
from saccade_env.policies.attention import AttentionPolicy, RolloutPolicy

META = torch.device("meta")
BATCH, CLASSES = 5, 10


class Waits(TorchFunctionMode):
    """Counts how often values come back from the device; these are made up."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = args[0] if args and isinstance(args[0], Tensor) else None
        back = func is Tensor.cpu or (
            func is Tensor.to
            and any(str(a) == "cpu" for a in (*args[1:], *(kwargs or {}).values()))
        )
        if own is not None and own.is_meta and back:
            self.count += 1
            draw = torch.Generator().manual_seed(self.count)
            return torch.rand(own.shape, generator=draw).to(own.dtype)
        return func(*args, **(kwargs or {}))


class NoMix(TorchDispatchMode):
    """Refuses operations on tensors of both devices, but for copies and for single numbers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in torch.utils._pytree.tree_leaves((args, kwargs))
                   if isinstance(leaf, Tensor) and leaf.dim()]  # fmt: skip
        if len({tensor.device for tensor in tensors}) > 1 and "copy" not in str(func):
            raise AssertionError(f"{func} mixes devices")
        return func(*args, **(kwargs or {}))


def dino(mode: str = "recompute") -> VitClassifier:
    with META:
        network = vision_transformer(64, 16, depth=4)
        linear = torch.nn.Linear(4 * 64, CLASSES)
    tokens = DinoNetwork(network, META)
    return VitClassifier(tokens, LinearHead(tokens, linear), mode, name="dino")  # type: ignore[arg-type]


def of_timm(name: str) -> VitClassifier:
    network = timm.create_model(name, dynamic_img_size=True, num_classes=CLASSES)
    tokens = TokenNetwork(network, META)
    for module in network.modules():
        if hasattr(module, "num_prefix_tokens") and module is not network:
            module.num_prefix_tokens = 0
    return VitClassifier(tokens, TimmHead(tokens))


def convolving() -> CnnClassifier:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, CLASSES, 16, stride=16),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    grey = (127.0, 127.0, 127.0)
    origin = Weights("-", "-")
    return CnnClassifier("small", network, grey, grey, origin, device=META, num_classes=CLASSES)


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "dino": dino,
    "dino with a cache": lambda: dino("kv_cache"),
    "average pooling": lambda: of_timm("vit_tiny_patch16_224"),
    "rotary positions": lambda: of_timm("eva02_tiny_patch14_224"),
    "convolutions": convolving,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_saccade_waits_once_and_mixes_nothing(name: str) -> None:
    judge = CLASSIFIERS[name]()
    config = SaccadeConfig(grid=judge.grid, max_saccades=3)
    images = torch.zeros(BATCH, 3, 224, 224, dtype=torch.uint8)
    labels, place = torch.zeros(BATCH, dtype=torch.long), torch.arange(BATCH)
    with Waits() as waits, NoMix():
        state = core.begin(images, labels, place, config, judge)
        for saccade in range(config.max_saccades):
            before = waits.count
            state, outcome = core.saccade(state, 20 * place + saccade, config, judge)
            assert waits.count - before == 1
        kept = [tensor for tensor in state[1:] if isinstance(tensor, Tensor)]
        assert {tensor.device.type for tensor in (*kept, *outcome)} == {"cpu"}
        assert outcome.terminated.all()


def test_maps_come_back_from_the_device() -> None:
    network = dino().network
    images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    for kind in (AttentionPolicy, RolloutPolicy):
        policy = kind(network, device="meta", grid=(14, 14))
        with Waits() as waits, NoMix():
            assert policy.saliency_map(images).device.type == "cpu"
        assert waits.count == 1


def test_the_guard_finds_what_it_is_for() -> None:
    one, other = torch.zeros(2), torch.zeros(2, device=META)
    with NoMix(), pytest.raises(AssertionError, match="mixes devices"):
        _ = one + other
    with Waits(), pytest.raises(RuntimeError, match="[mM]eta"):
        other.sum().item()
