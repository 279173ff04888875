"""UNISAL's tensors and sizes, and the policy that follows it; what it computes: tests/verify."""

from __future__ import annotations

import copy
import functools
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from saccade_env import geometry
from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.images.normalise import normalise_imagenet
from saccade_env.policies import View
from saccade_env.policies.unisal import SOURCES, UNISAL, UnisalPolicy

PUBLISHED = "f01c5bdb2a84056f38807017fecf30cd91a0234b03d88e29e9e20826e40fb081"
SAMPLE = sorted((Path(geometry.__file__).parent / "images/sample").glob("*/*.jpg"))[:7]


def picture(path: Path, size: tuple[int, int] = (224, 224)) -> Tensor:
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.stack([picture(path) for path in SAMPLE])


@pytest.fixture(scope="module")
def network() -> UNISAL:
    """Random weights, with which every part of the network matters to the result."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNISAL()
        for name, tensor in network.named_parameters():
            if "smoothing" in name:  # positive, as the learned ones
                torch.nn.init.constant_(tensor, 1 / tensor.numel())
            elif tensor.ndim == 4:
                torch.nn.init.kaiming_normal_(tensor)
    return network


@pytest.fixture
def not_loaded_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = functools.cache(weights._shared.__wrapped__)
    monkeypatch.setattr(weights, "_shared", fresh)


@pytest.fixture
def published(not_loaded_yet: None, monkeypatch: pytest.MonkeyPatch, network: UNISAL) -> list[str]:
    """Give the random weights out as the published ones; what was asked for."""
    asked: list[str] = []

    def load(name: str) -> UNISAL:
        asked.append(name)
        return copy.deepcopy(network).requires_grad_(False)

    monkeypatch.setattr(weights, "load", load)
    record = Weights("https://host/unisal.pth", "0" * 64)
    monkeypatch.setattr(weights, "record", lambda name: record)
    return asked


def pixels(batch: int, height: int, width: int) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_names_and_shapes_are_the_published_ones() -> None:
    state = UNISAL().state_dict()
    listed = "\n".join(sorted(f"{name} {list(tensor.shape)}" for name, tensor in state.items()))
    assert len(state) == 835
    # Of such a list of the authors' file.
    assert hashlib.sha256(listed.encode()).hexdigest() == PUBLISHED


@torch.inference_mode()
def test_a_batch_equals_its_rows(network: UNISAL) -> None:
    batch = pixels(3, 96, 160)
    rows = torch.cat([network(row[None]) for row in batch])
    torch.testing.assert_close(network(batch), rows, atol=1e-4, rtol=0)
    assert (rows[0] - rows[1]).abs().max() > 1e-2


@torch.inference_mode()
@pytest.mark.parametrize("size", [(288, 384), (225, 301), (31, 1)])
def test_pictures_of_any_size(network: UNISAL, size: tuple[int, int]) -> None:
    log_density = network(pixels(1, *size))
    assert log_density.shape == (1, *size)
    torch.testing.assert_close(log_density.exp().sum(), torch.tensor(1.0), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_static_skips_the_recurrent_unit(network: UNISAL) -> None:
    runs: list[Any] = []
    hook = network.rnn.register_forward_hook(lambda *given: runs.append(given))
    recurrent = network(pixels(1, 64, 96))
    assert len(runs) == 1
    static = network(pixels(1, 64, 96), static=True)
    hook.remove()
    assert len(runs) == 1
    assert (recurrent - static).abs().max() > 1e-2


@torch.inference_mode()
def test_every_source_has_a_say(network: UNISAL) -> None:
    # Batch norms of a new network are alike: what differs are the last layers' weights.
    maps = torch.cat([network(pixels(1, 64, 96), source=source) for source in SOURCES])
    assert torch.pdist(maps.flatten(1)).min() > 1e-2


def test_no_such_source(network: UNISAL) -> None:
    message = r"unknown UNISAL source 'SALICOM'. Did you mean 'SALICON'\?"
    with pytest.raises(ValueError, match=message):
        network(pixels(1, 32, 32), source="SALICOM")
    with pytest.raises(ValueError, match=message):
        UnisalPolicy(source="SALICOM", network=network)


def test_no_such_input_size(network: UNISAL) -> None:
    with pytest.raises(ValueError, match=r"input_size must be .*; got \(0, 384\)"):
        UnisalPolicy(input_size=(0, 384), network=network)


def test_prior_maps_by_hand() -> None:
    from saccade_env.policies.unisal_network import prior_maps

    gaussians = torch.tensor([[[0.5, 0.0], [0.25, -1.0]]])  # (row, col) × (mean, log deviation)
    maps = prior_maps(gaussians, (3, 5))
    assert maps.shape == (1, 3, 5)
    assert maps[0, 1, 1] == 6  # its centre: half way down, a quarter across
    off_row, off_col = np.exp(-(0.5**2) / 2), np.exp(-((0.25 / np.exp(-1)) ** 2) / 2)
    assert maps[0, 0, 2].item() == pytest.approx(6 * off_row * off_col, rel=1e-5)


def test_pictures_are_normalised_by_imagenets_figures() -> None:
    grey = torch.full((1, 3, 10, 20), 128, dtype=torch.uint8)
    wanted = (128 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    normalised = normalise_imagenet(grey, (32, 64))
    torch.testing.assert_close(normalised, wanted.view(1, 3, 1, 1).expand(1, 3, 32, 64))
    assert normalise_imagenet(grey, (10, 20)).shape == (1, 3, 10, 20)


@pytest.mark.parametrize("grid", [(14, 14), (14, 24)])
def test_policy_looks_at_real_pictures(
    network: UNISAL, images: Tensor, grid: tuple[int, int]
) -> None:
    policy = UnisalPolicy(network=network, grid=grid)
    policy.reset(images)
    maps = policy.saliency_map(images)
    assert maps.shape == (len(images), *grid)
    assert not maps.is_inference()  # or autograd could not use it
    # Tokens hold the mean density per pixel: over the whole picture, one over its 224·384 pixels.
    share = maps.flatten(1).mean(-1) * 224 * 384
    torch.testing.assert_close(share, torch.ones(len(images)), atol=2e-2, rtol=0)
    seen = torch.zeros(len(images), *grid, dtype=torch.bool)
    nothing = torch.zeros(len(images))
    view = View(seen, seen, torch.zeros(len(images), 0, 2).long(), nothing, nothing, nothing)
    torch.testing.assert_close(policy.act(view), maps.flatten(1).argmax(-1))


def test_many_pictures_equal_single_ones(network: UNISAL, images: Tensor) -> None:
    policy = UnisalPolicy(network=network, input_size=(64, 96))
    many = images[torch.arange(10) % len(images)]  # more than go through in one pass
    rows = torch.cat([policy.saliency_map(row[None]) for row in many])
    torch.testing.assert_close(policy.saliency_map(many), rows, atol=0, rtol=1e-3)


def test_policy_passes_its_choices_on(network: UNISAL, images: Tensor) -> None:
    maps = [
        UnisalPolicy(network=network, input_size=(64, 96), **choice).saliency_map(images[:1])
        for choice in ({}, {"static": True}, {"source": "SALICON"}, {"grid": (14, 14)})
    ]
    assert torch.equal(maps[0], maps[3])
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])


def test_policy_says_what_it_is(network: UNISAL) -> None:
    policy = UnisalPolicy(network=network)
    assert (policy.name, policy.sees_full_image) == ("unisal", True)
    assert policy.weights is None  # unknown: the caller brought the network


def test_published_network_is_loaded_once(published: list[str], images: Tensor) -> None:
    before = torch.random.get_rng_state()
    policy = UnisalPolicy(input_size=(64, 96))
    with torch.inference_mode():
        network = weights.shared("unisal")
    assert published == ["unisal"]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network.training
    assert not any(p.requires_grad or p.is_inference() for p in network.parameters())
    given = UnisalPolicy(network=network, input_size=(64, 96))
    assert torch.equal(policy.saliency_map(images[:1]), given.saliency_map(images[:1]))


def test_policy_names_its_weights_and_pickles_small(published: list[str]) -> None:
    policy = UnisalPolicy()
    assert "unisal" in policy.weights.source
    assert len(policy.weights.sha256) == 64
    assert len(pickle.dumps(policy)) < 10_000


@pytest.mark.parametrize("change", ["key", "shape", "int8", "nan"])
def test_weights_of_another_network(
    change: str, network: UNISAL, not_loaded_yet: None, map_folder: Path
) -> None:
    tensors = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    name = "post_rnn.0.weight"
    tensors[name] = {
        "key": tensors[name],
        "shape": tensors[name][:3],
        "int8": tensors[name].to(torch.int8),
        "nan": tensors[name].log(),
    }[change]
    if change == "key":
        tensors["more"] = tensors.pop(name)
    place = weights.TABLE["unisal"].place
    place.parent.mkdir(parents=True)
    torch.save(tensors, place)
    with pytest.raises(weights.WeightsError, match=f"{place}: .* the weights of unisal: .*{name}"):
        UnisalPolicy()
