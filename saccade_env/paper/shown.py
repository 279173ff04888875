"""The pictures that are drawn, and what policies make of them: the shipped sample's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env import core, images
from saccade_env.config import SaccadeConfig
from saccade_env.images import Preprocess
from saccade_env.paper.cast import Cast

SIDE = 160  # pixels of a drawn picture
_CHOICE = (1, 4, 6)  # of the sample: an officer, a tripod, a cup of coffee


class Sample(NamedTuple):
    """Pictures of the sample and their labels, with the classifier that fits them."""

    pixels: UInt8[Tensor, "batch 3 height width"]
    labels: Int[Tensor, " batch"]
    judge: Any
    names: Sequence[str] | None  # of the classes, if they are ImageNet's


def rollout(policy: Any, sample: Sample, saccades: int) -> list[core.State]:
    """States after every saccade of a 3×3 fovea."""
    config = SaccadeConfig(sample.judge.grid, 3, saccades)
    place = torch.arange(len(sample.pixels), device=sample.pixels.device)
    state = core.begin(sample.pixels, sample.labels, place, config, sample.judge)
    core.reset_policy(policy, state, config, sample.judge)
    states = []
    for _ in range(saccades):
        fixation = policy.act(core.view(state)).to(place.device)
        state = core.saccade(state, fixation, config, sample.judge)[0]
        states.append(state)
    return states


def sample_of(cast: Cast) -> Sample:
    """The chosen pictures at the main experiment's size."""
    source = images.create("sample", Preprocess(cast.image_size))
    judge: Any = cast.judge()
    device = getattr(judge, "device", torch.device("cpu"))
    pixels, labels = (tensor.to(device) for tensor in images.load_batch(source, _CHOICE))
    names = source.class_names if judge.num_classes == len(source.class_names) else None
    return Sample(pixels, labels if names else labels * 0 + core.UNLABELLED, judge, names)


def panels(rows: int, cols: int) -> tuple[Any, Any]:
    """A figure and its axes [rows, cols], without ticks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(cols * SIDE / 100, rows * SIDE / 100), layout="constrained")
    axes = figure.subplots(rows, cols, squeeze=False)
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
    return figure, axes
