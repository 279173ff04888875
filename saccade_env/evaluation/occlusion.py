"""What a token is worth: hide it, a window at a time, and ask the classifier again.

Occlusion (Zeiler and Fergus 2014) on the token grid, with the classifier's own way of hiding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saccade_env import core, geometry
from saccade_env.classifiers import Classifier
from saccade_env.config import check_whole
from saccade_env.rows import take_rows


class Occlusion(NamedTuple):
    """What is lost when the window around a token is hidden; NaN where it was not tried yet."""

    certainty: Float[Tensor, "batch rows cols"]  # before − after: positive where the token helps
    probability: Float[Tensor, "batch rows cols"]  # of the class predicted with nothing hidden


@torch.no_grad()
def occlusion(
    memory: Any,
    revealed: Bool[Tensor, "batch rows cols"],
    classifier: Classifier,
    side: int = 1,
    batch_size: int = 16,
) -> Iterator[Occlusion]:
    """Hide the window around every revealed token of every image in turn.

    Args:
        memory: ``classifier.begin(images)``.
        revealed: What is seen with nothing hidden: all True for the whole image.
        classifier: Judges; a KV cache is left out, ``memory`` must then be of ``recomputing``.
        side: Of the window in tokens, odd; it is cut off at the border.
        batch_size: Windows tried per forward; changes no result.

    Yields:
        The same two tensors, each time with more of them known, the last time with all; tokens that
        are not revealed stay NaN.

    Raises:
        ValueError: ``side`` is not odd, or a number is below 1.
    """
    check_whole("batch_size", batch_size, 1)
    if check_whole("side", side, 1) % 2 == 0:
        raise ValueError(f"side must be odd; got {side}")
    grid = (revealed.shape[1], revealed.shape[2])
    windows = geometry.fovea_windows(grid, side, revealed.device)
    whole = _judged(memory, revealed, classifier)
    before, classes = core.certainty(whole), whole.argmax(-1)
    share = whole.softmax(-1).gather(-1, classes[:, None])[:, 0]
    lost = Occlusion(*(torch.full(revealed.shape, torch.nan) for _ in range(2)))
    rows, tokens = revealed.flatten(1).nonzero().unbind(-1)
    for start in range(0, len(rows), batch_size):
        some, hidden = (every[start : start + batch_size] for every in (rows, tokens))
        logits = _judged(take_rows(memory, some), revealed[some] & ~windows[hidden], classifier)
        after = logits.softmax(-1).gather(-1, classes[some, None])[:, 0]
        place = (some, *geometry.index_to_row_col(hidden, grid).unbind(-1))
        lost.certainty[place] = before[some] - core.certainty(logits)
        lost.probability[place] = share[some] - after
        yield lost


def _judged(
    memory: Any, revealed: Bool[Tensor, "some rows cols"], classifier: Classifier
) -> Float[Tensor, "some classes"]:
    return core.check_logits(classifier.classify(memory, revealed)[0].cpu(), classifier)


def count(revealed: Bool[Tensor, "batch rows cols"], batch_size: int = 16) -> int:
    """How often :func:`occlusion` yields."""
    tried: Int[Tensor, ""] = revealed.sum()
    return -(-int(tried) // batch_size)
