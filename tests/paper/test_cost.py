"""FLOPs that torch counts, against those counted by hand; and which setting is the cheapest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.paper import cost
from saccade_env.paper.figures.one_pass import cheapest, efficient
from saccade_env.policies.attention import AttentionPolicy

WIDE, DEPTH, PATCH, CLASSES = 48, 4, 16, 10
SIZE, PATCHES = (64, 96), 24


@pytest.fixture(scope="module")
def tiny() -> VitClassifier:
    """A DINO of four small layers."""
    from timm.models.vision_transformer import VisionTransformer

    network = VisionTransformer(
        patch_size=PATCH, embed_dim=WIDE, depth=DEPTH, num_heads=4, num_classes=0
    )
    head = {"linear.weight": torch.zeros(CLASSES, 4 * WIDE), "linear.bias": torch.zeros(CLASSES)}
    return from_state_dicts(network.state_dict(), head, num_heads=4, image_size=SIZE)


def embedding(patches: int) -> int:
    return 2 * patches * 3 * PATCH**2 * WIDE


def layer(tokens: int) -> int:
    """Queries, keys and values; projection; two layers of four times the width; attention."""
    return 2 * tokens * WIDE**2 * (3 + 1 + 2 * 4) + 2 * 2 * tokens**2 * WIDE


@pytest.mark.parametrize("revealed", [1, 9, PATCHES])
def test_hidden_tokens_cost_nothing(tiny: VitClassifier, revealed: int) -> None:
    head = 2 * 4 * WIDE * CLASSES
    expected = embedding(PATCHES) + DEPTH * layer(1 + revealed) + head
    assert cost.classifier_flops(tiny, SIZE, revealed) == expected


@pytest.mark.parametrize(("last", "resolution"), [(0, None), (2, None), (2, (32, 48))])
def test_a_map_costs_what_leads_to_its_layer(
    tiny: VitClassifier, last: int, resolution: tuple[int, int] | None
) -> None:
    patches = 6 if resolution else PATCHES
    policy = AttentionPolicy(tiny, layer=last, resolution=resolution, grid=tiny.grid)
    tokens = 1 + patches
    attention = 2 * tokens * WIDE**2 * 3 + 2 * tokens * WIDE  # of [CLS] alone
    expected = embedding(patches) + last * layer(tokens) + attention
    assert cost.map_flops(policy, SIZE) == expected


def test_what_is_painted_costs_as_much() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    judge = CnnClassifier(
        "small", network, (0.0,) * 3, (1.0,) * 3, Weights("-", "-"), image_size=SIZE
    )
    found = cost.count(judge, {}, SIZE)
    assert found["tokens"] == [1, 6, 12, 18, PATCHES]
    assert found["classifier"] == [2 * 3 * 8**2 * 5 * 8 * 12] * 5
    assert found["maps"] == {}


def test_the_cheapest_within_a_point_of_the_best() -> None:
    prices = np.array([3.0, 1.0, 2.0])
    accuracy = np.array([[0.7, 0.7], [0.68, 0.5], [0.69, 0.5]])  # the second column: resampled
    assert cheapest(accuracy[:, 0], prices) == 2
    assert cheapest(accuracy, prices).tolist() == [2, 0]


def test_what_another_is_as_good_as_for_less_is_not_efficient() -> None:
    table: Any = pd.DataFrame({"cost": [3, 1, 2, 1, 4], "accuracy": [0.7, 0.5, 0.5, 0.4, 0.8]})
    assert efficient(table).tolist() == [True, True, False, False, True]
