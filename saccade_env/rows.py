"""Selecting and replacing rows (episodes) of nested tensors: states and classifier memories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jaxtyping import Int
from torch import Tensor

Tree = TypeVar("Tree")


def take_rows(tree: Tree, rows: Int[Tensor, " some"]) -> Tree:
    """Select episodes from a state or memory."""
    return _map(lambda tensor: tensor[rows.to(tensor.device)], tree)


def replace_rows(tree: Tree, rows: Int[Tensor, " some"], fresh: Tree) -> Tree:
    """Put ``fresh`` episodes in place of ``rows``, leaving the given state untouched."""
    return _map(lambda old, new: old.index_copy(0, rows.to(old.device), new), tree, fresh)


def _map(function: Callable[..., Tensor], tree: Any, *others: Any) -> Any:
    """Apply to every tensor of nested tuples, named tuples, lists and dicts."""
    if isinstance(tree, Tensor):
        return function(tree, *others)
    if isinstance(tree, dict):
        return {key: _map(function, tree[key], *(o[key] for o in others)) for key in tree}
    if isinstance(tree, (tuple, list)):
        items = [_map(function, *pair) for pair in zip(tree, *others, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    raise TypeError(f"classifier memory must hold tensors; got {type(tree).__name__}")
