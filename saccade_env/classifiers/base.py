"""The contract between the environment and a network that names what it sees.

Images are uint8 ``[B, 3, H, W]``, which each network normalises its own way; a floating tensor
is taken as already normalised. ``revealed`` is bool ``[B, rows, cols]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
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

    One's own derives from this class, which gives it a device, options and ``recomputing``.

    ``memory`` is whatever the classifier wants to keep of an episode: a tensor, or a (named)
    tuple, list or dict of tensors, each with the batch as leading axis, so that the environment
    can replace single rows; or an object with its own ``take_rows(rows)`` and
    ``replace_rows(rows, fresh)``. A classifier to which nothing is revealed must not depend on the
    image.

    Attributes:
        name: What reports call it.
        grid: (rows, cols) of its tokens.
        patch_size: Side of a token in pixels.
        num_classes: Number of classes.
        weights: Where its weights came from.
        device: Where it computes and keeps its memory. Images and ``revealed`` come from the CPU,
            and it brings them there itself; logits are brought back by who asks.
    """

    name: str
    grid: tuple[int, int]
    patch_size: int
    num_classes: int
    weights: Weights
    device: torch.device = torch.device("cpu")

    @property
    def options(self) -> dict[str, Any]:
        """How it computes, as plain data; the card of a run has those that are set."""
        return {}

    @property
    def recomputing(self) -> Classifier:
        """The same without a cache over the saccades of an episode; itself if it has none."""
        return self

    def begin(self, images: Shaped[Tensor, "batch 3 height width"]) -> Any:
        """Take in the images once an episode and return the memory of the episode."""

    def classify(
        self, memory: Any, revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Any]:
        """Logits from the revealed tokens alone, and the memory to pass on."""


@runtime_checkable
class Convolutional(Classifier, Protocol):
    """A classifier whose last layer is linear on the mean of its features over the image.

    Attributes:
        class_weights: Of the last layer.
        class_biases: Of the last layer.
    """

    class_weights: Float[Tensor, "classes channels"]
    class_biases: Float[Tensor, " classes"]

    def features(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels rows cols"]:
        """Of whole images, after the last convolution."""


def check_classifier(given: Any) -> Classifier:
    """Pass a classifier through.

    Raises:
        TypeError: It is none, or one written for version 0.1; the message says what it lacks.
    """
    members = [n for n in {**Classifier.__annotations__, **vars(Classifier)} if n[0] != "_"]
    if lacking := [name for name in members if not hasattr(given, name)]:
        raise TypeError(
            f"{type(given).__name__} is no classifier: it lacks {', '.join(lacking)}; derive it "
            "from saccade_env.Classifier, which gives it device, options and recomputing"
        )
    return given  # type: ignore[no-any-return]
