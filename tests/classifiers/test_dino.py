"""DINO against what the official code computes, and token dropping against single rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import (
    DinoNetwork,
    build_backbone,
    from_state_dicts,
    interpolate_positions,
)
from saccade_env.classifiers.weights import WeightsError
from saccade_env.policies.attention_maps import attention_map, check_attention

SIZES = {"square224": (224, 224), "square160": (160, 160), "wide288x384": (288, 384)}
HEADS = 4


@pytest.fixture(scope="module")
def state(shared: Path) -> dict[str, torch.Tensor]:
    return load_file(shared / "golden" / "dino_tiny_weights.safetensors")


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, torch.Tensor]:
    expected = load_file(shared / "golden" / "dino_tiny_expected.safetensors")
    return {key: value.float() for key, value in expected.items()}


def head_of(width: int, classes: int = 10) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "module.linear.weight": torch.randn(classes, width, generator=generator) / 10,
        "module.linear.bias": torch.zeros(classes),
    }


def tiny(state: Any, features: int = 192, **keywords: Any) -> VitClassifier:
    return from_state_dicts(state, head_of(features), HEADS, **keywords)


@pytest.fixture(scope="module", params=SIZES)
def case(request: Any, golden: Any) -> tuple[tuple[int, int], dict[str, torch.Tensor]]:
    prefix = f"{request.param}."
    found = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    return SIZES[request.param], found


def test_shape_is_read_off_the_tensors(state: Any) -> None:
    classifier = tiny(state)
    assert (classifier.patch_size, classifier.num_classes, classifier.grid) == (16, 10, (14, 14))
    assert len(classifier.network.blocks) == 5
    assert classifier.network.backbone.embed_dim == 48


def test_tokens_equal_the_official_code(state: Any, case: Any) -> None:
    size, expected = case
    tokens = tiny(state, image_size=size).begin(expected["input"])
    torch.testing.assert_close(tokens, expected["tokens"], atol=1e-4, rtol=0)


def test_attention_of_every_layer_equals_the_official_code(state: Any, case: Any) -> None:
    size, expected = case
    classifier = tiny(state, image_size=size)
    given = classifier.network, expected["input"], classifier.grid
    for layer in range(5):
        heads = expected["attention_cls"][:, layer]
        for reduction, by_hand in (("max", heads.amax(1)), ("mean", heads.mean(1))):
            maps = attention_map(*given, layer, reduction=reduction)
            torch.testing.assert_close(maps.flatten(1), by_hand, atol=1e-4, rtol=0)
            assert maps.shape[1:] == classifier.grid
    torch.testing.assert_close(attention_map(*given), attention_map(*given, layer=4))


@pytest.mark.parametrize(
    ("width", "name"), [(192, "features_last4_cls"), (96, "features_last1_cls_mean")]
)
def test_features_equal_the_official_code(state: Any, case: Any, width: int, name: str) -> None:
    size, expected = case
    classifier = tiny(state, width, image_size=size)
    everything = torch.ones(2, *classifier.grid, dtype=torch.bool)
    features = classifier.features(classifier.begin(expected["input"]), everything)
    torch.testing.assert_close(features, expected[name], atol=1e-4, rtol=0)


def test_token_dropping_equals_the_official_code(state: Any, golden: Any) -> None:
    head = {f"linear.{part}": golden[f"linear.{part}"] for part in ("weight", "bias")}
    classifier = from_state_dicts(state, {"state_dict": head}, HEADS)
    visible = golden["sparse.visible"].bool()
    assert visible.flatten(1).sum(1).unique().numel() == 2, "rows of different lengths"
    memory = classifier.begin(golden["square224.input"])
    features = classifier.features(memory, visible)
    torch.testing.assert_close(features, golden["sparse.features_last4_cls"], atol=1e-4, rtol=0)
    logits, _ = classifier.classify(memory, visible)
    torch.testing.assert_close(logits, golden["sparse.logits"], atol=1e-4, rtol=0)


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
