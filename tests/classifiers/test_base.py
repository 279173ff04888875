"""What a classifier is, and what becomes of one that is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import SaccadeEnv, classifiers
from saccade_env.classifiers import Classifier, Convolutional, Weights


class Grey(Classifier):
    """One's own, with nothing but what version 0.1 asked for."""

    name, grid, patch_size, num_classes = "grey", (14, 14), 16, 1000
    weights = Weights("none", "-")

    def begin(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((1, 2, 3))

    def classify(self, memory: torch.Tensor, revealed: torch.Tensor) -> Any:
        return memory[:, None] * revealed.flatten(1).any(1)[:, None] * torch.ones(1000), memory


class Old:
    """The same as version 0.1 took it."""

    name, grid, patch_size, num_classes, weights = "old", (14, 14), 16, 1000, Grey.weights
    begin, classify = Grey.begin, Grey.classify


def test_ones_own_has_device_and_recomputing_from_its_base(sample: Any) -> None:
    env = SaccadeEnv(sample, Grey())
    env.reset(seed=0)
    assert (Grey.device, Grey().options) == (torch.device("cpu"), {})
    assert (own := Grey()).recomputing is own
    assert env.card["classifier"] == {
        "name": "grey", "weights": vars(Grey.weights), "patch_size": 16, "num_classes": 1000
    }  # fmt: skip


@pytest.mark.parametrize("given", [Old(), 3, None])
def test_what_is_none_is_refused_by_what_it_lacks(given: Any, sample: Any) -> None:
    with pytest.raises(TypeError, match=r"is no classifier: it lacks .*device.*derive it from"):
        SaccadeEnv(sample, given)


def test_a_convolutional_one_says_so() -> None:
    assert isinstance(cnn := classifiers.create("efficientnet_lite0"), Convolutional)
    assert cnn.class_weights.shape == (1000, cnn.features(torch.zeros(1, 3, 224, 224)).shape[1])
    assert not isinstance(Grey(), Convolutional)


def test_the_card_has_the_options_that_are_set(sample: Any) -> None:
    judge = classifiers.create("efficientnet_lite0", autocast="bfloat16")
    card = SaccadeEnv(sample, judge).card["classifier"]
    assert card["autocast"] == "bfloat16"
    assert "compile" not in card


@pytest.mark.parametrize("size", [0, -16])
def test_a_patch_has_pixels(size: int) -> None:
    with pytest.raises(ValueError, match=f"patch_size must be ≥ 1 pixel; got {size}"):
        classifiers.create("efficientnet_lite0", patch_size=size)
