"""What a frozen classifier finds in a picture, as maps on the token grid.

The *goal* is the class that it believes in, seeing that picture; what is believed so far is the
classifier's answer to what is revealed. Maps are float32 ``[B, maps, rows, cols]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from saccade_env import core
from saccade_env.classifiers.base import Convolutional
from saccade_env.geometry import fovea_windows, resize_map
from saccade_env.observe.activation import class_activation, logits_of, scaled

ACTIVATION, GLIMPSES, FEATURES = "activation", "glimpses", "features"
SIDE, STRIDE = 3, 2  # of glimpses, in tokens


class Sight(NamedTuple):
    """What an eye makes of pictures, on its classifier's device; empty where it is not shown."""

    features: Float[Tensor, "batch channels h w"]
    logits: Float[Tensor, "batch classes"]
    glimpses: Float[Tensor, "batch places classes"]  # what each adds to the logits
    middle: Float[Tensor, "batch values rows cols"]


@torch.no_grad()
def look(classifier: Convolutional, images: Tensor, shows: Sequence[str]) -> Sight:
    """One forward; with glimpses, also one of each small window alone."""
    seen = Sight(*(torch.zeros(len(images), *(0,) * axes) for axes in (3, 1, 2, 3)))
    if FEATURES in shows:
        middle = cast(Any, classifier).middle_features(images)
        seen = seen._replace(middle=middle / middle.std((1, 2, 3), keepdim=True).clamp(min=1e-5))
    if {ACTIVATION, GLIMPSES}.intersection(shows):
        features = classifier.features(images)
        seen = seen._replace(features=features, logits=logits_of(classifier, features))
    if GLIMPSES in shows:
        seen = seen._replace(glimpses=glimpsed(classifier, images))
    return seen


@torch.no_grad()
def glimpsed(classifier: Convolutional, images: Tensor) -> Float[Tensor, "batch places classes"]:
    """What 3×3 tokens around every second cell would add to the logits, if features just added up.

    Of each window alone, as a picture of its own: for 14 × 14 tokens 49 pictures of 48×48 pixels,
    which cost what four whole images do.
    """
    size, (rows, cols) = classifier.patch_size, classifier.grid
    pictures = F.pad(cast(Any, classifier).normalise(images), (size,) * 4)
    side = SIDE * size
    crops = [
        pictures[:, :, row * size : row * size + side, col * size : col * size + side]
        for row in range(STRIDE // 2, rows, STRIDE)
        for col in range(STRIDE // 2, cols, STRIDE)
    ]
    batch = torch.stack(crops, 1).flatten(0, 1).contiguous()
    nothing = classifier.features(torch.zeros_like(batch[:1]))
    added = (classifier.features(batch) - nothing).sum((2, 3))
    cells = classifier.features(images[:1])[0, 0].numel()
    return (added / cells @ classifier.class_weights.T).unflatten(0, (len(images), -1))


def activation(
    classifier: Convolutional, sight: Sight, view: core.View
) -> Float[Tensor, "batch 11 rows cols"]:
    """Where the eye sees what it believes, what is believed so far, and anything at all.

    Class activation maps (Zhou et al. 2016) over all classes by their probability, and the norm of
    the features: each standardised, and as what the hidden cells of the 3 × 3 around a cell hold of
    it. And in every cell the same: the goal's probability to the eye, so far, and the logarithm of
    that; certainty of the eye, and so far.
    """
    features, so_far = sight.features, view.logits.to(sight.features.device)
    found = [class_activation(classifier, features, one) for one in (sight.logits, so_far)]
    anything = resize_map(features.norm(dim=1), classifier.grid)
    maps = torch.stack((*found, anything), 1)
    windows = [promise(scaled(one), view.revealed.to(one.device)) for one in maps.unbind(1)]
    goal = sight.logits.argmax(-1, keepdim=True)
    eyes, now = (logits.softmax(-1).gather(1, goal) for logits in (sight.logits, so_far))
    certain = [core.certainty(logits)[:, None] for logits in (sight.logits, so_far)]
    numbers = torch.cat((eyes, now, now.clamp(min=1e-6).log() / 5, *certain), 1)
    constant = numbers[:, :, None, None].expand(-1, -1, *classifier.grid)
    return torch.cat((standardised(maps), torch.stack(windows, 1), constant), 1)


def glimpses(
    classifier: Convolutional, sight: Sight, view: core.View
) -> Float[Tensor, "batch 4 rows cols"]:
    """What each window would change if features just added up, its hidden share counting.

    Of a window beyond the border, what is outside counts as seen.

    Log-probability gained by the goal, in nats; by all that the eye believes; negative entropy
    gained; and what the window alone holds for the goal, in logits.
    """
    so_far, places = view.logits.to(sight.logits.device), sight.glimpses
    revealed = view.revealed.to(so_far.device)
    hidden = promise(torch.ones_like(revealed, dtype=so_far.dtype), revealed)
    share = hidden[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    now = so_far.log_softmax(-1)
    then = (so_far[:, None] + share.flatten(1)[..., None] * places).log_softmax(-1)
    eyes = sight.logits.softmax(-1)
    goal = sight.logits.argmax(-1)[:, None, None].expand(-1, places.shape[1], 1)
    gained = then - now[:, None]
    ordered = (then.exp() * then).sum(-1) - (now.exp() * now).sum(-1, keepdim=True)
    alone = places.gather(2, goal)[..., 0] - places.mean(-1)
    found = [gained.gather(2, goal)[..., 0], (eyes[:, None] * gained).sum(-1), ordered, alone]
    coarse = torch.stack(found, 1).unflatten(2, share.shape[1:])
    rows, cols = (_between(side, coarse.device) for side in classifier.grid)
    return rows @ coarse @ cols.T


def features(
    classifier: Convolutional, sight: Sight, view: core.View
) -> Float[Tensor, "batch values rows cols"]:
    """Features with the stride of a token, which know nothing of classes; deviation 1 a picture."""
    return sight.middle


#: What an eye may find by its name, as maps [B, K, rows, cols].
SHOWS: dict[str, Callable[[Convolutional, Sight, core.View], Tensor]] = {
    ACTIVATION: activation,
    GLIMPSES: glimpses,
    FEATURES: features,
}


def promise(
    maps: Float[Tensor, "batch rows cols"], revealed: Bool[Tensor, "batch rows cols"]
) -> Float[Tensor, "batch rows cols"]:
    """Sum over the hidden cells of the 3 × 3 around each cell, over 9."""
    grid = (maps.shape[1], maps.shape[2])
    windows = fovea_windows(grid, SIDE, maps.device).flatten(1).to(maps.dtype)
    return ((maps * ~revealed).flatten(1) @ windows.T).reshape(maps.shape) / SIDE**2


def standardised(maps: Float[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch rows cols"]:
    """Mean 0 and deviation 1, each map for itself; a flat one becomes 0."""
    centred = maps - maps.mean((-2, -1), keepdim=True)
    deviation = centred.square().mean((-2, -1), keepdim=True).sqrt()
    flat = deviation < 1e-5  # nothing but rounding
    return torch.where(flat, 0, centred / deviation.clamp(min=1e-5))


@lru_cache(maxsize=8)
def _between(length: int, device: torch.device) -> Float[Tensor, "length places"]:
    """From every second cell, the second first, to all: linear between, the nearest at the ends."""
    count = len(range(STRIDE // 2, length, STRIDE))
    at = ((torch.arange(length) - STRIDE // 2) / STRIDE).clamp(0, count - 1)
    near = 1 - (at[:, None] - torch.arange(count)).abs()
    return near.clamp(min=0).to(device)
