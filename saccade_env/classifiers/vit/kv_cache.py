"""Keys and values kept over an episode: a saccade computes only new tokens and the prefix.

The paper names this as future work. It is **another model** than recomputing: a token seen early
never attends to one seen later, so logits depend on the order of the fixations and, beyond the
first saccade, differ from those of a forward on all revealed tokens. ``refresh_every=k``
recomputes all of them every k saccades; with k = 1 both are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from saccade_env.classifiers.vit import packing

_TENSORS = ("tokens", "known", "age")


class KVMemory(NamedTuple):
    """What an episode keeps. The store is written in place: see :meth:`check`.

    Tokens and store are on the device, what is known of them on the CPU.
    """

    tokens: Float[Tensor, "batch tokens embed"]
    known: Bool[Tensor, "batch patches"]  # in the store
    age: Int[Tensor, " batch"]  # saccades since all were computed
    store: packing.Store
    version: int  # of the store when this memory was made

    def take_rows(self, rows: Int[Tensor, " some"]) -> KVMemory:
        """A copy of some rows, whose episodes may go another way."""
        self.check()
        tensors = ((name, getattr(self, name)) for name in _TENSORS)
        taken = {name: tensor[rows.to(tensor.device)] for name, tensor in tensors}
        return self._replace(**taken, store=self.store.take_rows(rows), version=0)

    def replace_rows(self, rows: Int[Tensor, " some"], fresh: KVMemory) -> KVMemory:
        """Start rows anew, in the same store.

        Raises:
            ValueError: ``fresh`` has been classified already.
        """
        self.check()
        if fresh.store.layers:
            raise ValueError("rows can only be replaced by episodes that have just begun")
        tensors = ((name, getattr(self, name), getattr(fresh, name)) for name in _TENSORS)
        changed = {name: own.index_copy(0, rows.to(own.device), new) for name, own, new in tensors}
        return self._replace(**changed)

    def check(self) -> None:
        """Refuse a memory whose episode has gone on.

        Raises:
            RuntimeError: It was classified before; ``take_rows`` makes a copy that can be.
        """
        if self.store.layers and self.store.version != self.version:
            raise RuntimeError(
                "this memory of a KV cache is spent: its episode has gone on. To try several "
                "saccades from one state, classify copies of it (saccade_env.rows.take_rows)"
            )


def begin(tokens: Float[Tensor, "batch tokens embed"], prefix: int) -> KVMemory:
    """The memory of episodes in which nothing has been seen."""
    batch, length, _ = tokens.shape
    return KVMemory(
        tokens=tokens,
        known=torch.zeros(batch, length - prefix, dtype=torch.bool),
        age=torch.zeros(batch, dtype=torch.long),
        store=packing.Store(batch, length),
        version=0,
    )


def plan(
    memory: KVMemory, seen: Bool[Tensor, "batch patches"], refresh_every: int
) -> tuple[Bool[Tensor, "batch patches"], Bool[Tensor, "batch patches"], Int[Tensor, " batch"]]:
    """Which patches to compute, which to take from the store, and the row's new age.

    A row starts over when it is due, or when it knows a patch that is no longer revealed.
    """
    over = (memory.known & ~seen).any(-1)
    if refresh_every:
        over = over | (memory.age >= refresh_every)
    known = memory.known & ~over[:, None]
    age = torch.where(over, 0, memory.age) + 1
    return seen & ~known, known, age


def store_of(memory: KVMemory) -> packing.Store:
    """The store to write to; a memory that has just begun may be the start of many episodes."""
    memory.check()
    return memory.store if memory.store.layers else packing.Store(*memory.store.size)


def advance(
    memory: KVMemory,
    seen: Bool[Tensor, "batch patches"],
    age: Int[Tensor, " batch"],
    store: packing.Store,
) -> KVMemory:
    """The memory after a saccade."""
    store.version += 1
    return KVMemory(memory.tokens, seen, age, store, store.version)
