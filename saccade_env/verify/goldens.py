"""The paper's networks at full size, held against what the original code computes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NETWORKS: tuple[str, ...] = ()


class Difference(NamedTuple):
    """How far something is from what the original computes.

    Attributes:
        what: Network, size and values, such as ``dino_vits16 224x224 attention_cls``.
        largest: The largest absolute difference of a value; infinite if the shapes differ.
        tolerance: What it may be.
    """

    what: str
    largest: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is no larger than it may be; NaN is."""
        return self.largest <= self.tolerance


def check(names: Iterable[str] = NETWORKS) -> list[Difference]:
    """Compute with seeded weights what the originals did, and compare.

    Args:
        names: Some of :data:`NETWORKS`.
    """
    return []
