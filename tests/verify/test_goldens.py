"""The paper's networks at full size give what the official code gives, to 1e-5."""

from __future__ import annotations

import math

import pytest
import torch

from saccade_env.classifiers.vit.dino import DinoNetwork
from saccade_env.policies import unisal_network
from saccade_env.policies.attention import AttentionPolicy
from saccade_env.verify import goldens, seeded
from saccade_env.verify.goldens import Difference

SIZES = {
    "dino_vits16": ["160x160", "224x224", "288x384", "sparse"],
    "dino_vits8": ["224x224", "sparse"],
    "dino_vitb16": ["224x224", "sparse"],
    "unisal": ["224x384", "288x384"],
}
FAST = {"dino_vits16": ["224x224", "sparse"], "unisal": ["288x384"]}


def wrong(found: list[Difference]) -> list[Difference]:
    assert found
    return [difference for difference in found if not difference.ok]


@pytest.mark.parametrize("name", FAST)
def test_what_the_official_code_computes(name: str) -> None:
    assert not wrong(goldens.check([name], FAST[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_what_it_computes_at_other_sizes(name: str) -> None:
    rest = [size for size in SIZES[name] if size not in FAST.get(name, [])]
    assert not wrong(goldens.check([name], rest))


def test_nothing_that_is_stored_is_left_out() -> None:
    stored = {name: goldens._stored(name) for name in goldens.NETWORKS}
    assert {name: len(values) for name, values in stored.items()} == {
        "dino_vits16": 11, "dino_vits8": 5, "dino_vitb16": 5, "unisal": 10,
    }  # fmt: skip
    for name, values in stored.items():
        assert sorted({key.split(".")[0] for key in values}) == SIZES[name]
        # Or the agreement would be one of flat maps.
        assert all(value.std() > 0.05 * value.abs().mean() for value in values.values())
    assert stored["dino_vits16"]["224x224.attention_cls"].shape == (12, 6, 196)
    sources = {tuple(key.split(".")[1:]) for key in stored["unisal"]}
    assert sources == {(s, k) for s in unisal_network.SOURCES for k in ("recurrent", "static")}


def test_one_part_in_a_hundred_of_one_tensor_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = seeded.tensor

    def other(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return drawn(name, shape) * (1.01 if name == "rnn.cell_list.0.a_h_x" else 1)

    monkeypatch.setattr(seeded, "tensor", other)
    found = wrong(goldens.check(["unisal"], ["288x384"]))
    assert [difference.what for difference in found] == ["unisal 288x384 DHF1K.recurrent"]


@pytest.mark.parametrize(
    ("found", "largest", "ok"),
    [
        ([0.5, 20.00019], 0.00019, True),
        ([0.5, 20.0003], 0.0003, False),
        ([0.5, math.nan], math.nan, False),
        ([0.5], math.inf, False),
    ],
)
def test_a_difference_is_held_against_the_largest_value(
    found: list[float], largest: float, ok: bool
) -> None:
    difference = goldens.compare("it", torch.tensor(found), torch.tensor([0.5, 20.0]))
    assert difference.largest == pytest.approx(largest, rel=0.02, nan_ok=True)
    assert difference.tolerance == pytest.approx(2e-4)
    assert difference.ok == ok


def test_a_misspelt_network_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"'dino_vits6'. Did you mean 'dino_vits16'"):
        goldens.check(["dino_vits6"])


def test_the_policy_follows_the_official_attention() -> None:
    network = DinoNetwork(goldens.network_of("dino_deitsmall16-backbone"))
    heads = goldens._stored("dino_vits16")["224x224.attention_cls"][0]
    images = seeded.picture(224, 224)[None]
    for reduction, expected in (("max", heads.amax(0)), ("mean", heads.mean(0))):
        maps = AttentionPolicy(network, layer=0, reduction=reduction).saliency_map(images)
        torch.testing.assert_close(maps[0].flatten(), expected, atol=1e-5, rtol=0)
