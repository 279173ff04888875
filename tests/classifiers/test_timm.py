"""Networks of timm: on all tokens they are timm's, on some what a mask over all tokens gives."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saccade_env import classifiers, geometry, images
from saccade_env.classifiers.vit import timm_models
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.classifiers.weights import WeightsError
from saccade_env.policies.attention_maps import attention_map
from saccade_env.task import open_pair
from saccade_env.testing import check_classifier

SMALL = ["deit_tiny_patch16_224"]
SLOW = [
    "deit_tiny_distilled_patch16_224",
    "eva02_tiny_patch14_224",
    "vit_small_patch16_dinov3",
    "vit_small_patch14_reg4_dinov2",
    "deit_small_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_base_patch16_clip_224",
    "vit_base_patch16_siglip_224",
    "vit_medium_patch16_gap_256",
    "vit_small_patch16_rope_224",
    "vit_small_patch16_rope_mixed_224",
    "vit_base_patch16_xp_224",
    "vit_base_patch16_siglip_gap_224",
]
PARALLEL = "vit_small_patch16_18x2_224"
NAMES = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
SIZE = (112, 112)


def build(name: str, **keywords: Any) -> Any:
    spec = f"timm:{name},pretrained=false,num_classes=10"
    return classifiers.create(spec, image_size=SIZE, **keywords)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1)) - 0.5


def windows(grid: tuple[int, int]) -> torch.Tensor:
    """Rows of the batch with different numbers of revealed tokens."""
    revealed = torch.zeros(3, *grid, dtype=torch.bool)
    revealed[0, 1:4, 2:5] = True
    revealed[1, 0:3, 0:3] = revealed[1, 4:6, 3:6] = True
    revealed[2, 2, 2] = True
    return revealed


class OnlyRevealed(TorchFunctionMode):
    """The oracle: timm's own layers over all tokens, with a mask over the keys."""

    def __init__(self, keys: torch.Tensor) -> None:
        super().__init__()
        self.keys = keys

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return func(*args[:3], attn_mask=self.keys[:, None, None, -args[1].shape[2] :])
        return func(*args, **(kwargs or {}))


def timms_own(name: str) -> Any:
    torch.manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(name, dynamic_img_size=True, num_classes=10).eval()


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_all_tokens_are_timms_own_forward_and_some_a_mask_over_it(name, pixels):
    judge, network = build(name), timms_own(name)
    everything = torch.ones(3, *judge.grid, dtype=torch.bool)
    found, memory = judge.classify(judge.begin(pixels), everything)
    torch.testing.assert_close(found, network(pixels), atol=1e-5, rtol=1e-5)
    revealed = windows(judge.grid)
    some, _ = judge.classify(memory, revealed)
    keys = F.pad(revealed.flatten(1), (judge.network.prefix, 0), value=True)
    with OnlyRevealed(keys):
        tokens = network.forward_features(pixels)
        if network.attn_pool is not None:
            expected = network.forward_head(tokens)
    if network.attn_pool is None and network.global_pool == "avg":
        weight = revealed.flatten(1)[..., None].float()
        mean = (tokens[:, judge.network.prefix :] * weight).sum(1) / weight.sum(1)
        expected = network.head(network.fc_norm(mean))
    elif network.attn_pool is None:
        expected = network.forward_head(tokens)
    torch.testing.assert_close(some, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_the_kv_cache_keeps_its_contracts(name, pixels):
    plain, cached = build(name), build(name, mode="kv_cache")
    first = windows(plain.grid)
    more = first.clone()
    more[:, 4:7, 0:2] = True
    once, memory = cached.classify(cached.begin(pixels), first)
    torch.testing.assert_close(once, plain.classify(plain.begin(pixels), first)[0])
    cached.refresh_every = 1
    twice, _ = cached.classify(memory, more)
    expected = plain.classify(plain.begin(pixels), more)[0]
    torch.testing.assert_close(twice, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["recompute", "kv_cache"])
@pytest.mark.parametrize("name", SMALL)
def test_it_keeps_the_contract_of_classifiers(name, mode):
    check_classifier(build(name, mode=mode))


@torch.no_grad()
@pytest.mark.parametrize("name", [*NAMES, pytest.param(PARALLEL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", ["recompute", "kv_cache"])
def test_rows_with_nothing_new_are_as_before(name, mode, pixels):
    """Without class token such a row has no token at all; the last row and all of them count."""
    judge = build(name, mode=mode)
    revealed = windows(judge.grid)
    revealed[2] = False
    found, memory = judge.classify(judge.begin(pixels), revealed)
    assert found.isfinite().all()
    again, _ = judge.classify(memory, revealed)
    torch.testing.assert_close(again, found, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.slow
def test_layers_with_two_attentions_keep_both_in_the_cache(pixels):
    """The second saccade of a cache, against an oracle that keeps old tokens from new ones."""
    judge = build(PARALLEL, mode="kv_cache")
    for parameter in judge.network.backbone.parameters():
        if parameter.dim() == 1 and float(parameter.abs().max()) < 1e-3:
            parameter.fill_(0.5)  # the scale of layers, which are near to nothing at first
    first = windows(judge.grid)
    more = first.clone()
    more[:, 5:7, 0:2] = True
    memory = judge.classify(judge.begin(pixels), first)[1]
    judge.classify(memory, more)
    assert len({key for key in memory.store.layers if key != "last"}) == 4 * len(
        judge.network.blocks
    )
    with pytest.raises(ValueError, match="attend more than once"):
        attention_map(judge.network, pixels, judge.grid)


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_attention_is_that_of_timms_unfused_layers(name, pixels):
    network: TokenNetwork = build(name).network
    own = timms_own(name)
    kept: list[torch.Tensor] = []
    layer = getattr(own.blocks[2], "attn", own.blocks[2])
    layer.fused_attn = False
    layer.attn_drop.register_forward_hook(lambda module, given, out: kept.append(given[0]))
    own.forward_features(pixels)
    grid = geometry.grid_of(SIZE, network.patch_size)
    found = attention_map(network, pixels, grid, layer=2, reduction="mean")
    queries = kept[0][:, :, :1] if own.cls_token is not None else kept[0]
    expected = queries.mean((1, 2))[:, network.prefix :].unflatten(1, grid)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("xcit_nano_12_p16_224", "Xcit"),
        ("cait_xxs24_224", "Cait"),
        ("swin_tiny_patch4_window7_224", "SwinTransformer"),
        ("beit_base_patch16_224", "Beit"),
        ("vit_relpos_small_patch16_224", "VisionTransformerRelPos"),
        ("mixer_s16_224", "MlpMixer"),
        ("vit_tiny_r_s16_p8_224", "convolutions over their neighbours"),
    ],
)
@pytest.mark.slow
def test_what_cannot_drop_tokens_says_why_and_what_fits(name, reason):
    with pytest.raises(ValueError, match=rf"{reason}.*what fits: vit_"):
        classifiers.create(f"timm:{name},pretrained=false")


def test_convolutional_networks_see_hidden_tokens_neutral(pixels):
    judge = build("test_convnext")
    assert (judge.grid, judge.num_classes) == ((7, 7), 10)
    nothing = torch.zeros(3, 7, 7, dtype=torch.bool)
    found, memory = judge.classify(judge.begin(pixels), nothing)
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(judge.classify(memory, windows((7, 7)))[0], found)
    with pytest.raises(ValueError, match="always recomputes"):
        build("test_convnext", mode="kv_cache")


def test_names_are_checked():
    with pytest.raises(ValueError, match="needs a network: timm:NAME"):
        classifiers.create("timm")
    with pytest.raises(ValueError, match="no network .*_225'. Did you mean 'deit_tiny"):
        classifiers.create("timm:deit_tiny_patch16_225")
    with pytest.raises(ValueError, match="must be key=value; got '5' of classifier 'dino_vits16'"):
        classifiers.create("dino_vits16:5")
    with pytest.raises(ValueError, match="comes without classes"):
        classifiers.create("timm:vit_small_patch16_dinov3,pretrained=false", image_size=SIZE)


def test_the_same_seed_gives_the_same_weights_and_the_card_says_which():
    one, two, other = (build("test_vit", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.network.backbone.head.weight, two.network.backbone.head.weight)
    assert not torch.equal(one.network.backbone.head.weight, other.network.backbone.head.weight)
    assert one.name == "timm:test_vit,pretrained=false"
    assert other.weights.source == "random, seed 1"


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("test_vit", "timm/test_vit.r160_in1k"),
        ("vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),  # npz elsewhere
    ],
)
def test_published_weights_are_the_hubs_safetensors(tmp_path, monkeypatch, name, repository):
    torch.manual_seed(3)
    published = timm.create_model(name)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    asked: list[tuple[str, str]] = []
    timm_models._load.cache_clear()

    def download(repository: str, file: str, local_files_only: bool) -> str:
        asked.append((repository, file))
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    size = (160, 160) if name == "test_vit" else (224, 224)
    judge = classifiers.create(f"timm:{name}", image_size=size)
    assert asked == [(repository, "model.safetensors")]
    assert torch.equal(judge.network.backbone.head.weight, published.head.weight)
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert (judge.weights.source, judge.weights.sha256) == (f"Hugging Face: {repository}", digest)

    def refuse(repository: str, file: str, local_files_only: bool) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    timm_models._load.cache_clear()
    with pytest.raises(WeightsError, match=f"timm:{name},pretrained=false"):
        classifiers.create(f"timm:{name}")


def test_images_are_brought_to_the_size_of_timms_configuration():
    source, judge = open_pair("sample", "timm:test_vit,pretrained=false", "cpu")
    assert (source.image_size, judge.grid) == ((160, 160), (10, 10))
    assert repr(source.preprocess).startswith("Preprocess(image_size=(160, 160), resize=16")
    mine = images.create("sample", images.Preprocess((96, 96)))
    source, judge = open_pair(mine, "timm:test_vit,pretrained=false", "cpu")
    assert (source.image_size, judge.grid) == ((96, 96), (6, 6))
