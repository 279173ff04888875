"""Rows with different numbers of tokens in one forward, with nothing computed for padding.

The tokens of all rows are laid end to end, ``[packed, D]``: norms, linear layers and MLPs, which
are nearly all of the work, run on those. Attention alone sees a table ``[batch, longest]``, whose
keys and values a :class:`Store` holds: for one forward, or for a whole episode (``kv_cache.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


class Layout(NamedTuple):
    """Where packed tokens stand; every row begins with its [CLS]."""

    row: Int[Tensor, " packed"]
    place: Int[Tensor, " packed"]  # in its row
    first: Int[Tensor, " batch"]  # the packed place of each row's [CLS]
    longest: int
    full: bool  # all rows are equally long

    @property
    def slots(self) -> Int[Tensor, " packed"]:
        """Places in the flattened table of queries."""
        return self.row * self.longest + self.place

    def pad(self, packed: Float[Tensor, "packed embed"]) -> Float[Tensor, "batch longest embed"]:
        """Packed tokens as a table, zero where there is none."""
        batch = len(self.first)
        if self.full:
            return packed.view(batch, self.longest, -1)
        table = packed.new_zeros(batch * self.longest, packed.shape[-1])
        return table.index_copy_(0, self.slots, packed).view(batch, self.longest, -1)

    def unpad(self, table: Float[Tensor, "batch longest embed"]) -> Float[Tensor, "packed embed"]:
        """Inverse of :meth:`pad`."""
        flat = table.flatten(0, 1)
        return flat if self.full else flat[self.slots]


def lay_out(chosen: Bool[Tensor, "batch patches"]) -> Layout:
    """The layout of [CLS] and the chosen patches of every row."""
    lengths = 1 + chosen.sum(-1)
    first = lengths.cumsum(0) - lengths
    row = torch.repeat_interleave(lengths)
    place = torch.arange(len(row), device=row.device) - first[row]
    longest = int(lengths.max())
    return Layout(row, place, first, longest, len(row) == len(lengths) * longest)


def pack(
    tokens: Float[Tensor, "batch tokens embed"], chosen: Bool[Tensor, "batch patches"]
) -> Float[Tensor, "packed embed"]:
    """[CLS] and the chosen patches of every row, end to end, patches in row-major order.

    Raises:
        ValueError: ``chosen`` is of another grid.
    """
    if chosen.shape[1] != tokens.shape[1] - 1:
        raise ValueError(f"{tokens.shape[1] - 1} patches, but {chosen.shape[1]} in revealed")
    return tokens[F.pad(chosen, (1, 0), value=True)]


class Store:
    """Keys and values of every layer, ``[batch, slots, 2·embed]`` each; written in place.

    Slot 0 is [CLS], which every forward writes anew. An episode of ViT-S/16 on 14×14 tokens needs
    7 MB a row.
    """

    def __init__(self, batch: int, slots: int) -> None:
        self.size = (batch, slots)
        self.layers: list[Tensor] = []
        self.version = 0  # counts the forwards that wrote here

    def write(self, layer: int, places: Int[Tensor, " packed"], fresh: Tensor) -> Tensor:
        """Put fresh keys and values [packed, 2·embed] at flattened places; return the layer."""
        if layer == len(self.layers):  # zeros, since 0 · NaN of unwritten memory would be NaN
            self.layers.append(fresh.new_zeros(*self.size, fresh.shape[-1]))
        self.layers[layer].flatten(0, 1).index_copy_(0, places, fresh)
        return self.layers[layer]

    def take_rows(self, rows: Int[Tensor, " some"]) -> Store:
        """A copy of some rows."""
        taken = Store(len(rows), self.size[1])
        taken.layers = [layer[rows.to(layer.device)] for layer in self.layers]
        return taken


Halves = tuple[Callable[..., Tensor], Callable[..., Tensor]]


def run_blocks(
    blocks: Any,
    tokens: Float[Tensor, "packed embed"],
    layout: Layout,
    known: Int[Tensor, " batch"],
    store: Store,
    halves: Halves,
) -> tuple[list[Float[Tensor, "batch embed"]], Float[Tensor, "packed embed"]]:
    """Run packed tokens through the layers; they attend to what the store knows and to each other.

    Args:
        blocks: timm's.
        tokens: [CLS] and new patches of every row.
        layout: How they are packed.
        known: Patches of each row whose keys and values are in slots 1, 2, … of the store.
        store: Where keys and values go.
        halves: :data:`HALVES`, or compiled.

    Returns:
        [CLS] of every row after every layer, and all tokens after the last.
    """
    row, place = layout.row, layout.place
    places = row * store.size[1] + torch.where(place > 0, place + known[row], 0)
    held = known + torch.bincount(row, minlength=len(known))  # [CLS] counted
    width = int(held.max())
    mask = torch.arange(width, device=row.device) < held[:, None]
    attn_mask = None if bool(mask.all()) else mask[:, None, None]
    (before, after), classes = halves, []
    for layer, block in enumerate(blocks):
        qkv = before(block, tokens)
        embed, heads = qkv.shape[-1] // 3, block.attn.num_heads
        kept = store.write(layer, places, qkv[:, embed:])[:, :width]
        k, v = kept.unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4)
        q = layout.pad(qkv[:, :embed]).unflatten(-1, (heads, -1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        tokens = after(block, tokens, layout.unpad(mixed.transpose(1, 2).flatten(2)))
        classes.append(tokens[layout.first])
    return classes, tokens


def before_attention(
    block: Any, tokens: Float[Tensor, "packed embed"]
) -> Float[Tensor, "packed qkv"]:
    """Queries, keys and values of a layer side by side."""
    return block.attn.qkv(block.norm1(tokens))


def after_attention(
    block: Any, tokens: Float[Tensor, "packed embed"], mixed: Float[Tensor, "packed embed"]
) -> Float[Tensor, "packed embed"]:
    """The rest of a layer: projection, MLP and both residuals."""
    tokens = tokens + block.ls1(block.attn.proj(mixed))
    return tokens + block.ls2(block.mlp(block.norm2(tokens)))


HALVES: Halves = (before_attention, after_attention)


@lru_cache(maxsize=1)
def compiled_halves() -> Halves:
    """The same through ``torch.compile``, for any number of tokens; compiled once a process."""
    before, after = (torch.compile(half, dynamic=True) for half in HALVES)
    return before, after
