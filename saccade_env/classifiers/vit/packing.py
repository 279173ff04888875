"""Rows with different numbers of tokens in one forward, with nothing computed for padding.

The tokens of all rows are laid end to end, ``[packed, D]``: norms, linear layers and MLPs, which
are nearly all of the work, run on those. Attention alone sees a table ``[batch, longest]``, whose
keys and values a :class:`Store` may hold for a whole episode (``kv_cache.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from saccade_env.classifiers.runtime import on_device
from saccade_env.classifiers.vit.attention import Attending

if TYPE_CHECKING:
    from saccade_env.classifiers.vit.network import TokenNetwork


class Layout(NamedTuple):
    """Where packed tokens stand; every row begins with its prefix. Tensors are on the device."""

    row: Int[Tensor, " packed"]
    token: Int[Tensor, " packed"]  # in the sequence of all tokens
    queries: Int[Tensor, " packed"]  # places in the flattened table of queries
    keys: Int[Tensor, " packed"]  # places in the flattened table of keys, or in a store
    first: Int[Tensor, " batch"]  # the packed place of each row's first token
    held: Bool[Tensor, "batch width"]  # where there is a key
    longest: int
    full: bool  # all rows have as many queries
    whole: bool  # and as many keys

    def pad(self, packed: Float[Tensor, "packed *embed"]) -> Float[Tensor, "batch longest *embed"]:
        """Packed tokens as a table of queries, zero where there is none."""
        batch = len(self.first)
        if self.full:
            return packed.unflatten(0, (batch, self.longest))
        table = packed.new_zeros(batch * self.longest, *packed.shape[1:])
        return table.index_copy_(0, self.queries, packed).unflatten(0, (batch, self.longest))

    def unpad(self, table: Float[Tensor, "batch longest *embed"]) -> Float[Tensor, "packed *embed"]:
        """Inverse of :meth:`pad`."""
        flat = table.flatten(0, 1)
        return flat if self.full else flat[self.queries]


def lay_out(
    chosen: Bool[Tensor, "batch patches"],
    known: Int[Tensor, " batch"],
    prefix: int,
    slots: int | None,
    device: torch.device,
) -> Layout:
    """The layout of the prefix and the chosen patches of every row.

    Args:
        chosen: On the CPU, where sizes can be read without waiting for a GPU.
        known: Patches of each row that a store holds already, on the CPU.
        prefix: How many tokens precede the patches.
        slots: Of the store; None without one.
        device: Where the layout is used.
    """
    row, token = F.pad(chosen, (prefix, 0), value=True).nonzero().unbind(1)
    lengths = prefix + chosen.sum(-1)
    first = lengths.cumsum(0) - lengths
    place, longest = torch.arange(len(row)) - first[row], int(lengths.max())
    keys = row * (slots or longest) + torch.where(place < prefix, place, place + known[row])
    held = torch.arange(int((lengths + known).max())) < (lengths + known)[:, None]
    packed = torch.stack((row, token, row * longest + place, keys))
    row, token, queries, keys = on_device(packed, device)  # at once
    return Layout(
        row,
        token,
        queries,
        keys,
        first=on_device(first, device),
        held=on_device(held, device),
        longest=longest,
        full=len(row) == len(lengths) * longest,
        whole=bool(held.all()),
    )


class Store:
    """Keys and values of every layer, and what the last one gives; written in place.

    Prefix slots come first, and every forward writes them anew. An episode of ViT-S/16 on 14×14
    tokens needs 7 MB a row.
    """

    def __init__(self, batch: int, slots: int) -> None:
        self.size = (batch, slots)
        self.layers: dict[Any, Tensor] = {}
        self.version = 0  # counts the forwards that wrote here

    def write(
        self, what: Any, places: Int[Tensor, " packed"], fresh: Float[Tensor, "packed *embed"]
    ) -> Float[Tensor, "batch slots *embed"]:
        """Put fresh values at flattened places; return all of them."""
        if what not in self.layers:  # zeros, since 0 · NaN of unwritten memory would be NaN
            self.layers[what] = fresh.new_zeros(*self.size, *fresh.shape[1:])
        self.layers[what].flatten(0, 1).index_copy_(0, places, fresh)
        return self.layers[what]

    def take_rows(self, rows: Int[Tensor, " some"]) -> Store:
        """A copy of some rows."""
        taken = Store(len(rows), self.size[1])
        taken.layers = {what: layer[rows.to(layer.device)] for what, layer in self.layers.items()}
        return taken


class Packed(Attending):
    """Rows laid end to end attend to their own row, and to what a store knows of it."""

    def __init__(self, layout: Layout, store: Store | None) -> None:
        super().__init__()
        self._layout, self._store = layout, store
        self.layer, self.calls = 0, 0  # which attention this is: a layer may have two side by side
        self._mask = None if layout.whole else layout.held[:, None, None]

    @torch.compiler.disable
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if q.shape[0] != 1 or k.shape != q.shape:
            raise ValueError(f"expected queries and keys of all tokens; got {q.shape}, {k.shape}")
        self.calls += 1
        keys, values = (
            self.table((name, self.layer, self.calls), fresh[0].transpose(0, 1)).transpose(1, 2)
            for name, fresh in (("k", k), ("v", v))
        )
        queries = self._layout.pad(q[0].transpose(0, 1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=self._mask)
        return self._layout.unpad(mixed.transpose(1, 2)).transpose(0, 1)[None]

    def table(
        self, what: Any, fresh: Float[Tensor, "packed *embed"]
    ) -> Float[Tensor, "batch width *embed"]:
        """Values of all tokens of a row: the fresh ones, and those in the store."""
        if self._store is None:
            return self._layout.pad(fresh)
        width = self._layout.held.shape[1]
        return self._store.write(what, self._layout.keys, fresh)[:, :width]


class Seen(NamedTuple):
    """What the layers make of the tokens.

    Attributes:
        firsts: The first token of every row after every layer, for networks with a prefix.
        table: All tokens of a row after the last layer, also those of earlier saccades.
        held: Where there is one.
    """

    firsts: list[Float[Tensor, "batch embed"]]
    table: Float[Tensor, "batch longest embed"]
    held: Bool[Tensor, "batch longest"]


def run_blocks(
    network: TokenNetwork,
    tokens: Float[Tensor, "batch tokens embed"],
    chosen: Bool[Tensor, "batch rows cols"],
    known: Int[Tensor, " batch"],
    store: Store | None,
    compiled: bool = False,
) -> Seen:
    """Run the prefix and the chosen patches of every row through the layers.

    Args:
        network: Whose layers.
        tokens: All of them.
        chosen: The patches to compute, on the CPU.
        known: Patches of each row whose keys and values are in the store, on the CPU.
        store: Where keys and values are kept; None to keep nothing.
        compiled: Run the layers through ``torch.compile``.

    Raises:
        ValueError: ``chosen`` is of another grid.
    """
    prefix, grid = network.prefix, (chosen.shape[1], chosen.shape[2])
    if grid[0] * grid[1] != tokens.shape[1] - prefix:
        raise ValueError(f"{tokens.shape[1] - prefix} patches, but a grid of {grid} in revealed")
    slots = None if store is None else store.size[1]
    layout = lay_out(chosen.flatten(1), known, prefix, slots, tokens.device)
    rotations = network.rotations(grid)
    if rotations is not None:
        rotations = rotations[..., layout.token, :]
    packed, firsts = tokens[layout.row, layout.token][None], []
    with Packed(layout, store) as attending:
        for layer, block in enumerate(network.compiled_blocks if compiled else network.blocks):
            attending.layer, attending.calls = layer, 0
            packed = block(packed, **network.rotated(layer, rotations))
            firsts += [packed[0, layout.first]] if prefix else []
    return Seen(firsts, attending.table("last", packed[0]), layout.held)
