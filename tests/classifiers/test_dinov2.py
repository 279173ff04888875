"""DINOv2 with its linear heads against the official computation, written out plainly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from saccade_env import classifiers
from saccade_env.classifiers import weights
from saccade_env.classifiers.vit import dino
from saccade_env.classifiers.vit.dino import build_backbone, from_state_dicts, vision_transformer
from saccade_env.classifiers.weights import WeightsError
from saccade_env.policies.attention_maps import attention_map

WIDTH, PATCH, DEPTH, SIDE = 128, 14, 5, 6  # 6×6 patches are native
SIZE, GRID = (70, 112), (5, 8)


def official(registers: int) -> dict[str, Tensor]:
    """A state dict as published, of random values."""
    draw = torch.Generator().manual_seed(registers)
    shapes = {
        "cls_token": (1, 1, WIDTH), "pos_embed": (1, 1 + SIDE**2, WIDTH), "mask_token": (1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH), "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,), "norm.bias": (WIDTH,),
        **({"register_tokens": (1, registers, WIDTH)} if registers else {}),
    }  # fmt: skip
    for block in range(DEPTH):
        layers = {
            "norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,), "norm2.weight": (WIDTH,),
            "norm2.bias": (WIDTH,), "ls1.gamma": (WIDTH,), "ls2.gamma": (WIDTH,),
            "attn.qkv.weight": (3 * WIDTH, WIDTH), "attn.qkv.bias": (3 * WIDTH,),
            "attn.proj.weight": (WIDTH, WIDTH), "attn.proj.bias": (WIDTH,),
            "mlp.fc1.weight": (4 * WIDTH, WIDTH), "mlp.fc1.bias": (4 * WIDTH,),
            "mlp.fc2.weight": (WIDTH, 4 * WIDTH), "mlp.fc2.bias": (WIDTH,),
        }  # fmt: skip
        shapes |= {f"blocks.{block}.{name}": shape for name, shape in layers.items()}
    return {name: 0.3 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def head_of(layers: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(layers)
    size = (10, (1 + layers) * WIDTH)
    return {"weight": torch.randn(size, generator=draw), "bias": torch.randn(10, generator=draw)}


def plainly(
    state: dict[str, Tensor], head: dict[str, Tensor], images: Tensor, revealed: Tensor
) -> Tensor:
    """Logits of one normalised image, with hidden patches left out."""
    registers = state.get("register_tokens", torch.zeros(1, 0, WIDTH))
    patches = F.conv2d(
        images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH
    )
    rows, cols = patches.shape[-2:]
    square = state["pos_embed"][:, 1:].reshape(1, SIDE, SIDE, WIDTH).permute(0, 3, 1, 2)
    if (rows, cols) == (SIDE, SIDE):
        places = square
    elif registers.shape[1]:
        places = F.interpolate(square, size=(rows, cols), mode="bicubic", antialias=True)
    else:
        scale = ((rows + 0.1) / SIDE, (cols + 0.1) / SIDE)
        places = F.interpolate(square, scale_factor=scale, mode="bicubic")
    patches = (patches + places).flatten(2).mT[:, revealed.flatten()]
    x = torch.cat((state["cls_token"] + state["pos_embed"][:, :1], registers, patches), 1)
    prefix, outputs = 1 + registers.shape[1], []
    norm = lambda name, x: F.layer_norm(  # noqa: E731
        x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6
    )
    linear = lambda name, x: F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])  # noqa: E731
    for block in range(DEPTH):
        at = f"blocks.{block}"
        q, k, v = (
            linear(f"{at}.attn.qkv", norm(f"{at}.norm1", x))
            .reshape(1, -1, 3, WIDTH // 64, 64)
            .permute(2, 0, 3, 1, 4)
        )
        mixed = (q @ k.mT / 8).softmax(-1) @ v
        mixed = linear(f"{at}.attn.proj", mixed.transpose(1, 2).flatten(2))
        x = x + state[f"{at}.ls1.gamma"] * mixed
        wide = F.gelu(linear(f"{at}.mlp.fc1", norm(f"{at}.norm2", x)))
        x = x + state[f"{at}.ls2.gamma"] * linear(f"{at}.mlp.fc2", wide)
        outputs.append(norm("norm", x))
    layers = head["weight"].shape[1] // WIDTH - 1
    firsts = [output[:, 0] for output in outputs[-layers:]]
    features = torch.cat((*firsts, outputs[-1][:, prefix:].mean(1)), 1)
    return F.linear(features, head["weight"], head["bias"])[0]


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("size", [SIZE, (SIDE * PATCH, SIDE * PATCH)], ids=["other", "native"])
def test_logits_are_those_of_the_official_code(
    registers: int, layers: int, size: tuple[int, int]
) -> None:
    state, head = official(registers), head_of(layers)
    judge = from_state_dicts(state, head, image_size=size)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    everything = torch.ones(2, *judge.grid, dtype=torch.bool)
    some = torch.rand(2, *judge.grid, generator=torch.Generator().manual_seed(2)) < 0.4
    for revealed in (everything, some):
        found, _ = judge.classify(judge.begin(images), revealed)
        expected = torch.stack(
            [plainly(state, head, image[None], row) for image, row in zip(images, revealed)]  # noqa: B905
        )
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        assert expected.std() > 0.1  # or the agreement would be one of constants


def test_the_cache_keeps_its_contract() -> None:
    judge = from_state_dicts(official(4), head_of(4), image_size=SIZE, mode="kv_cache")
    images = torch.randn(2, 3, *SIZE)
    revealed = torch.rand(2, *GRID) < 0.4
    found, _ = judge.classify(judge.begin(images), revealed)
    plain = judge.recomputing
    torch.testing.assert_close(found, plain.classify(plain.begin(images), revealed)[0])
    assert attention_map(judge.network, images, GRID).shape == (2, *GRID)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"reads 512 features; .* 256 .* or 640"):
        from_state_dicts(
            official(0), {"weight": torch.zeros(10, 4 * WIDTH), "bias": torch.ones(10)}
        )
    with pytest.raises(WeightsError, match="mask_token"):
        build_backbone({k: v for k, v in official(4).items() if k != "mask_token"})


def test_every_entry_fits_what_it_builds() -> None:
    """Shapes of the networks, and sizes in the table, of all of them; no weights are made."""
    names = [name for name in dino.NETWORKS if name.startswith("dinov2")]
    assert len(names) == 6
    for name in names:
        backbone, four = weights.members(name)
        one = weights.TABLE[f"{name}-linear1"]
        with torch.device("meta"):
            network: Any = vision_transformer(*backbone.sizes)
        count = sum(p.numel() for p in network.parameters())
        assert abs(4 * count / 1e6 - backbone.size_mb) < 2
        assert network.num_prefix_tokens == (5 if name.endswith("_reg") else 1)
        width = network.embed_dim
        assert (four.sizes, one.sizes) == ((5 * width, 1000), (2 * width, 1000))
        assert ("reg4" in backbone.url) == name.endswith("_reg")


@pytest.mark.parametrize("layers", [1, 4])
def test_a_name_tells_the_head(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> Any:
        asked.append(name)
        return torch.nn.Linear((1 + layers) * WIDTH, 10)

    monkeypatch.setattr(dino, "load_network", lambda name, device: built)
    monkeypatch.setattr(weights, "load", load)
    monkeypatch.setattr(weights, "record", lambda name: classifiers.Weights("there", "0" * 64))
    built = dino.DinoNetwork(build_backbone(official(4)))
    judge = classifiers.create(f"dinov2_vits14_reg:layers={layers},mode=kv_cache")
    assert asked == [f"dinov2_vits14_reg-linear{layers}"]
    assert (judge.name, judge.grid, judge.patch_size) == ("dinov2_vits14_reg", (16, 16), 14)
    with pytest.raises(ValueError, match="must be 1 or 4; got '2'"):
        classifiers.create("dinov2_vits14:layers=2")
