"""DINO of any shape, and token dropping against single rows; what it computes: tests/verify."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from saccade_env.classifiers.vit.dino import (
    DinoNetwork,
    build_backbone,
    from_state_dicts,
    interpolate_positions,
)
from saccade_env.classifiers.weights import WeightsError
from saccade_env.policies.attention_maps import attention_map, check_attention


def head_of(width: int, classes: int = 10) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "module.linear.weight": torch.randn(classes, width, generator=generator) / 10,
        "module.linear.bias": torch.zeros(classes),
    }


def random_network(width: int = 64, heads: int = 1, patch: int = 16, depth: int = 3) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(
        img_size=14 * patch, patch_size=patch, embed_dim=width, depth=depth, num_heads=heads,
        num_classes=0,
    )  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return network.state_dict()


def test_shape_is_read_off_the_tensors() -> None:
    state = random_network(width=48, heads=4, depth=5)
    classifier = from_state_dicts(state, head_of(192), 4)
    assert (classifier.patch_size, classifier.num_classes, classifier.grid) == (16, 10, (14, 14))
    assert len(classifier.network.blocks) == 5
    assert classifier.network.backbone.embed_dim == 48


@pytest.mark.parametrize("per_width", [4, 2], ids=["last-4", "interleaved"])
def test_rows_of_any_length_share_a_batch(per_width: int) -> None:
    classifier = from_state_dicts(random_network(depth=4), head_of(64 * per_width))
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (6, 3, 224, 224), generator=generator, dtype=torch.uint8)
    share = torch.tensor([0.0, 0.01, 0.1, 0.3, 0.7, 1.1])[:, None, None]
    revealed = torch.rand(6, 14, 14, generator=generator) < share
    memory = classifier.begin(images)
    together, _ = classifier.classify(memory, revealed)
    for row in range(6):
        alone, _ = classifier.classify(memory[row, None], revealed[row, None])
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=0)
    assert together.std(0).max() > 1e-3


def test_hidden_tokens_change_nothing() -> None:
    classifier = from_state_dicts(random_network(depth=4), head_of(256))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    other = images.clone()
    other[..., 112:] = 255 - other[..., 112:]
    revealed = torch.zeros(1, 14, 14, dtype=torch.bool)
    revealed[:, 3:9, :7] = True
    first, _ = classifier.classify(classifier.begin(images), revealed)
    second, _ = classifier.classify(classifier.begin(other), revealed)
    assert torch.equal(first, second)


def test_nothing_is_computed_for_hidden_tokens() -> None:
    classifier = from_state_dicts(random_network(depth=4), head_of(256))
    seen = []
    mlp = classifier.network.blocks[0].mlp
    handle = mlp.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    memory = classifier.begin(torch.zeros(2, 3, 224, 224, dtype=torch.uint8))
    revealed = torch.zeros(2, 14, 14, dtype=torch.bool)
    revealed[0, :3, :3] = True
    classifier.classify(memory, revealed)
    handle.remove()
    assert seen == [(1, 1 + 9 + 1, 64)], "[CLS] and nine patches, [CLS] alone; no padding"


def test_later_layers_are_not_computed() -> None:
    network = DinoNetwork(build_backbone(random_network(depth=6)))
    calls: list[int] = []
    for place, block in enumerate(network.blocks):
        block.mlp.register_forward_pre_hook(lambda *given, place=place: calls.append(place))
    attention_map(network, torch.zeros(1, 3, 224, 224, dtype=torch.uint8), (14, 14), layer=2)
    assert calls == [0, 1]


@pytest.mark.parametrize("patch", [16, 8])
@pytest.mark.parametrize(("resolution", "side"), [(160, 160), ((128, 192), None)])
def test_low_resolution_maps_come_back_to_the_grid(patch: int, resolution: Any, side: Any) -> None:
    network = DinoNetwork(build_backbone(random_network(patch=patch)))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    grid = (224 // patch, 224 // patch)
    maps = attention_map(network, images, grid, resolution=resolution)
    assert maps.shape == (2, *grid)
    size = (resolution, resolution) if side else resolution
    small = torch.nn.functional.interpolate(
        network.normalise(images), size, mode="bilinear", antialias=True
    )
    own = attention_map(network, small, (size[0] // patch, size[1] // patch))
    by_hand = torch.nn.functional.interpolate(own[:, None], grid, mode="bilinear")[:, 0]
    torch.testing.assert_close(maps, by_hand)


def test_uint8_is_normalised_as_imagenet() -> None:
    network = DinoNetwork(build_backbone(random_network()))
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    expected = [(1 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert network.normalise(images)[0, :, 0, 0].tolist() == pytest.approx(expected)
    ready = torch.randn(1, 3, 2, 2)
    assert network.normalise(ready) is ready


def test_positions_at_the_native_grid_are_untouched() -> None:
    positions = torch.randn(1, 197, 8)
    assert interpolate_positions(positions, (14, 14)) is positions
    assert interpolate_positions(positions, (10, 24)).shape == (1, 241, 8)


def test_what_does_not_fit_is_refused() -> None:
    state = random_network()
    with pytest.raises(WeightsError, match="not the weights of a DINO network"):
        build_backbone({"weight": torch.zeros(3)})
    with pytest.raises(WeightsError, match="norm.bias"):
        build_backbone({k: v for k, v in state.items() if k != "norm.bias"})
    with pytest.raises(
        WeightsError, match="head reads 77 features; a network of width 64 gives 256"
    ):
        from_state_dicts(state, head_of(77))
    with pytest.raises(WeightsError, match="not the weights of a linear head"):
        from_state_dicts(state, {"weights": torch.zeros(3)})
    network = DinoNetwork(build_backbone(state))
    images = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    with pytest.raises(ValueError, match="layer must be -3 to 2; got 3"):
        attention_map(network, images, (14, 14), layer=3)
    with pytest.raises(ValueError, match="unknown reduction 'maxx'. Did you mean 'max'"):
        check_attention(network, 0, "maxx", None)
    for wrong in ("x", 1.5):
        with pytest.raises(ValueError, match="layer must be"):
            check_attention(network, wrong, "max", None)


@pytest.mark.parametrize(
    ("resolution", "message"),
    [
        (100, "multiple of the patch size 16, such as 96x96; got 100×100"),
        (0, r"at least a patch of 16 pixels; got \(0, 0\)"),
        (-16, r"at least a patch of 16 pixels; got \(-16, -16\)"),
        ((160,), "must be a number of pixels, or"),
        ("160x192", "must be a number of pixels, or"),
    ],
)
def test_a_wrong_resolution_is_refused_before_any_picture(resolution: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_attention(DinoNetwork(build_backbone(random_network())), -1, "max", resolution)


def test_results_are_ordinary_tensors() -> None:
    with torch.inference_mode():
        classifier = from_state_dicts(random_network(depth=4), head_of(256))
    memory = classifier.begin(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    logits, _ = classifier.classify(memory, torch.ones(1, 14, 14, dtype=torch.bool))
    assert not logits.is_inference()
    logits.add_(1)
    pixels = torch.zeros(1, 3, 224, 224, dtype=torch.float64)
    maps = attention_map(classifier.network, pixels, classifier.grid)
    assert maps.dtype == torch.float32
    with pytest.raises(ValueError, match=r"196 patches, but a grid of \(10, 10\) in revealed"):
        classifier.classify(memory, torch.ones(1, 10, 10, dtype=torch.bool))


def test_building_leaves_the_random_stream_alone() -> None:
    state = random_network()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_backbone(state)
    assert torch.equal(torch.rand(1), expected)


def test_default_heads_are_64_wide() -> None:
    network = build_backbone(random_network(width=128, heads=2))
    assert network.blocks[0].attn.num_heads == 2
    assert math.isclose(network.blocks[0].attn.scale, 1 / 8)
