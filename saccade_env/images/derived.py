"""Image sources made from others: :class:`Derived`, and :class:`Subset`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from saccade_env.images.base import ImageSource, Picture


def sample(indices: Sequence[int], count: int | None, seed: int) -> list[int]:
    """All of them, or a random sample of that many, in order; the only sampler of images.

    The samples of one seed are nested: a smaller one, or one of a part, lies in the larger one as
    far as it can.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"limit must be ≥ 1; got {count}")
    if count is None or count >= len(indices):
        return list(indices)
    rank = np.argsort(np.random.default_rng(seed).permutation(max(indices) + 1))
    return sorted(sorted(indices, key=lambda index: rank[index])[:count])


class Derived:
    """Describes itself as its source does, but for its identity.

    Args:
        source: What it is made from.
        **description: Plain data that says how: a part of the identity.
    """

    def __init__(self, source: ImageSource, **description: Any) -> None:
        self._source, self._description = source, description
        self.name, self.image_size, self.labels = source.name, source.image_size, source.labels
        self.class_names, self.description = source.class_names, source.description
        self.preprocess = source.preprocess

    @cached_property
    def identity(self) -> str:
        """Sha256 (hex) over the source's own and how this one is made from it."""
        made = json.dumps([self._source.identity, type(self).__name__, self._description])
        return hashlib.sha256(made.encode()).hexdigest()


class Subset(Derived):
    """Some pictures of a source.

    Args:
        source: Where they come from.
        indices: Their places in it.
    """

    def __init__(self, source: ImageSource, indices: Sequence[int]) -> None:
        super().__init__(source, indices=list(indices))
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Picture:
        return self._source[self.indices[i]]

    def id(self, i: int) -> str:
        return self._source.id(self.indices[i])
