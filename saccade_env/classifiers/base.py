"""The contract between the environment and a network that names what it sees.

Images are uint8 ``[B, 3, H, W]``, which each network normalises its own way; a floating tensor
is taken as already normalised. ``revealed`` is bool ``[B, rows, cols]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """Where a network's weights came from: every result file names it."""

    source: str
    sha256: str


@runtime_checkable
class Classifier(Protocol):
    """A classifier of partly revealed images.

    ``memory`` is whatever the classifier wants to keep of an episode: a tensor, or a (named)
    tuple, list or dict of tensors, each with the batch as leading axis, so that the environment
    can replace single rows; or an object with its own ``take_rows(rows)`` and
    ``replace_rows(rows, fresh)``. A classifier to which nothing is revealed must not depend on the
    image.
    """

    name: str
    grid: tuple[int, int]
    patch_size: int
    num_classes: int
    weights: Weights

    def begin(self, images: Shaped[Tensor, "batch 3 height width"]) -> Any:
        """Take in the images once an episode and return the memory of the episode."""

    def classify(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Any]:
        """Logits from the revealed tokens alone, and the memory to pass on."""
