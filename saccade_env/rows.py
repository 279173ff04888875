"""Selecting and replacing rows (episodes) of nested tensors: states and classifier memories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Int
from torch import Tensor

Tree = TypeVar("Tree")


@runtime_checkable
class HasRows(Protocol):
    """A memory that selects and replaces its episodes itself."""

    def take_rows(self, rows: Int[Tensor, " some"]) -> Any:
        """Those episodes."""

    def replace_rows(self, rows: Int[Tensor, " some"], fresh: Any) -> Any:
        """The same with ``fresh`` in place of these; it stays as it is."""


def take_rows(tree: Tree, rows: Int[Tensor, " some"]) -> Tree:
    """Select episodes from a state or memory."""
    return _map(
        lambda tensor: tensor[rows.to(tensor.device)], lambda own: own.take_rows(rows), tree
    )


def replace_rows(tree: Tree, rows: Int[Tensor, " some"], fresh: Tree) -> Tree:
    """Put ``fresh`` episodes in place of ``rows``, leaving the given tensors untouched."""
    return _map(
        lambda old, new: old.index_copy(0, rows.to(old.device), new),
        lambda old, new: old.replace_rows(rows, new),
        tree,
        fresh,
    )


def _map(
    on_tensor: Callable[..., Tensor], on_own: Callable[..., Any], tree: Any, *others: Any
) -> Any:
    """Apply to every tensor of nested tuples, named tuples, lists and dicts; ask who has rows."""
    if isinstance(tree, Tensor):
        return on_tensor(tree, *others)
    if isinstance(tree, HasRows):
        return on_own(tree, *others)
    if isinstance(tree, dict):
        return {
            key: _map(on_tensor, on_own, tree[key], *(other[key] for other in others))
            for key in tree
        }
    if isinstance(tree, (tuple, list)):
        items = [_map(on_tensor, on_own, *pair) for pair in zip(tree, *others, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    raise TypeError(f"classifier memory must hold tensors; got {type(tree).__name__}")
