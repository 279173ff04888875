"""What may be asked of timm: names, tags, other kinds of networks, and what its cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from saccade_env import classifiers, policies
from saccade_env.classifiers import Convolutional
from saccade_env.classifiers.vit import timm_models
from saccade_env.classifiers.vit.timm_models import is_convolutional, preprocess
from saccade_env.images import Preprocess


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "timm:test_vit.nosuchtag,pretrained=false",
            "no weights 'test_vit.nosuchtag'. Known: test_vit.r160",
        ),
        ("timm:vit_base_patch16_224_in21k,pretrained=false", "under another name now"),
        ("test_vit", "Did you mean 'timm:test_vit'"),
        ("timm:test_vit:mode=kv_cache", "follow a comma, not a second colon"),
        ("timm:test_vit,pretrained=false,num_classes=-1", "num_classes must be ≥ 1; got -1"),
        ("timm:test_vit,pretrained=false,seed=-1", "seed must be ≥ 0"),
        ("timm:vit_small_patch14_dinov2", r"comes without classes: it can guide \(attention:vit"),
        ("timm:test_vit,pretrained=false,onnx=false", "unknown parameter 'onnx'"),
        ("timm:test_resnet,pretrained=false,refresh_every=2", "unknown parameter 'refresh_every'"),
        ("timm:convit_tiny,pretrained=false", "cannot be dropped"),
    ],
)
def test_what_does_not_fit_says_so(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifiers.create(name)
    with pytest.raises(ValueError, match=r"patch_size must divide .* 260×260 pixels, as .*20"):
        classifiers.create("timm:test_resnet,pretrained=false", image_size=(260, 260))


def test_size_and_crop_are_timms() -> None:
    assert preprocess("test_vit").resize == int(160 / 0.95)
    squashed = preprocess("convnext_tiny.fb_in22k_ft_in1k_384")
    assert (squashed.mode, squashed.image_size) == ("squash", (384, 384))
    other = classifiers.preprocess_of("timm:deit_tiny_patch16_224", (288, 288))
    assert other == Preprocess((288, 288), 320)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "convolves"),
    [
        ("resnest14d", True), ("skresnet18", True), ("eca_nfnet_l0", True), ("test_convnext", True),
        ("convmixer_768_32", True), ("mobilenetv3_small_050", True), ("convit_tiny", False),
        ("mixer_s32_224", False), ("xcit_nano_12_p16_224", False), ("test_vit", False),
    ],
)  # fmt: skip
def test_what_convolves_is_told_from_what_attends(name: str, convolves: bool) -> None:
    assert is_convolutional(timm.create_model(name)) is convolves


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "linear"),
    [
        ("test_resnet", True), ("test_efficientnet", True), ("test_convnext", False),
        ("mobilenetv3_small_050", False), ("mambaout_femto", False), ("repvit_m0_9", False),
    ],
)  # fmt: skip
def test_features_are_offered_where_the_last_layer_reads_their_mean(
    name: str, linear: bool
) -> None:
    judge: Any = classifiers.create(f"timm:{name},pretrained=false", image_size=(96, 96))
    assert isinstance(judge, Convolutional) is linear
    if linear:
        images = torch.rand(2, 3, 96, 96)
        mean = judge.features(images).mean((2, 3))
        logits = mean @ judge.class_weights.T + judge.class_biases
        torch.testing.assert_close(logits, judge.logits(images), atol=1e-4, rtol=1e-3)


def test_a_random_head_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "model.safetensors")
    path = str(tmp_path / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: path)
    timm_models._load.cache_clear()
    one, other = (classifiers.create(f"timm:test_vit,num_classes=10,seed={x}") for x in (0, 1))
    plain = classifiers.create("timm:test_vit,num_classes=1000")
    timm_models._load.cache_clear()
    assert "random head, seed 1" in other.weights.source
    assert one.weights.sha256 != other.weights.sha256 != plain.weights.sha256
    assert len(plain.weights.sha256) == 64
    first, second = (policies.attention.GradientPolicy(x) for x in (one, other))  # type: ignore
    assert (first.weights, second.weights) == (one.weights, other.weights)
    random = classifiers.create("timm:test_vit,pretrained=false")
    assert random.name == "timm:test_vit,pretrained=false"
