"""Shards: the same work cut into parts for several machines, each with its own share of the blocks.

A block is a batch of images of one setting. The cut is a function of the work and the shard alone:
what is finished is left out afterwards, image by image. So work may be cut anew when no shard is at
it, and nothing is done twice. Batches are the same whoever makes them, and so is what they give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Block = TypeVar("Block")
_ARRAY, _USUAL = "SLURM_ARRAY_TASK_", (("MIN", "0"), ("STEP", "1"))


@dataclass(frozen=True)
class Shard:
    """One of several shards.

    Attributes:
        index: Which, from 0.
        count: How many there are.
        before: How many blocks of other settings are dealt out before these.

    Raises:
        ValueError: There is no such shard.
    """

    index: int
    count: int
    before: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"a shard is I/N with I from 0 to N-1, as in 0/4; got {self}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``"0/4"`` as the first of four.

        Raises:
            ValueError: It is no shard.
        """
        if not (found := re.fullmatch(r"([0-9]+)/([0-9]+)", text.strip())):
            raise ValueError(f"a shard is I/N with I from 0 to N-1, as in 0/4; got {text!r}")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> Shard | None:
        """The shard that a Slurm array or torchrun makes this process; None outside of both.

        Raises:
            ValueError: A variable is no number, or the array's task numbers are not evenly spaced,
                so that they tell no shard.
        """
        found = None
        if f"{_ARRAY}COUNT" in variables:
            task, count = (_whole(variables, f"{_ARRAY}{name}", "") for name in ("ID", "COUNT"))
            least, step = (_whole(variables, f"{_ARRAY}{n}", d) for n, d in _USUAL)
            index, rest = divmod(task - least, max(step, 1))
            if rest or not 0 <= index < count:
                raise ValueError(
                    f"the Slurm array's task {task} is not one of {count} from {least} in steps of "
                    f"{step}: say which shard this is by --shard I/N"
                )
            found = cls(index, count)
        if "RANK" in variables and "WORLD_SIZE" in variables:
            rank, world = (_whole(variables, name, "") for name in ("RANK", "WORLD_SIZE"))
            outer = found or WHOLE  # every task of an array may have ranks of its own
            found = cls(outer.index * world + rank, outer.count * world)
        return found

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one."""
        return self.count == 1

    def after(self, blocks: int) -> Shard:
        """The same where so many blocks more are dealt out before."""
        return replace(self, before=self.before + blocks)

    def take(self, blocks: Sequence[Block]) -> list[Block]:
        """This shard's blocks: dealt out in turn, so that shares differ by one at most."""
        return list(blocks[(self.index - self.before) % self.count :: self.count])


def _whole(variables: Mapping[str, str], name: str, usual: str) -> int:
    text = variables.get(name, usual)
    if not re.fullmatch(r"[0-9]+", text.strip()):
        raise ValueError(f"${name} is {text!r}, no whole number: say --shard I/N")
    return int(text)


WHOLE = Shard(0, 1)
