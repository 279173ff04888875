"""The linear head of DINO's official linear evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from saccade_env.classifiers import weights

LAST_LAYERS = 4


def build_head(state: Mapping[str, Any], width: int) -> nn.Linear:
    """The linear layer from the official file, in which it is nested and prefixed.

    Raises:
        WeightsError: The tensors are not those of a head for a network of this width.
    """
    nested = state.get("state_dict", state)
    tensors = {key.rpartition("linear.")[2]: value for key, value in dict(nested).items()}
    if set(tensors) != {"weight", "bias"} or tensors["weight"].dim() != 2:
        raise weights.WeightsError(f"no linear head: expected weight and bias; got {list(nested)}")
    classes, features = tensors["weight"].shape
    if tensors["bias"].shape != (classes,):
        raise weights.WeightsError(f"no linear head: {classes} rows, bias {tensors['bias'].shape}")
    if features not in (2 * width, LAST_LAYERS * width):
        raise weights.WeightsError(
            f"the head reads {features} features; a network of width {width} gives "
            f"{LAST_LAYERS * width} ([CLS] of 4 layers) or {2 * width} ([CLS] and mean patch)"
        )
    head = nn.utils.skip_init(nn.Linear, features, classes)
    head.load_state_dict(tensors)
    return head
