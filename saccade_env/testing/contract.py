"""What all checks share: one error, and the words that it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import Tensor

_SENDABLE = (
    "vectorised environments and the engine 'ray' send it to other processes; keep no lock, open "
    "file, connection or generator of Python in it, or leave that out in __getstate__"
)
_LONGEST = 100  # characters of a value in a message


class ContractError(AssertionError):
    """Something does not keep its contract; the message says what to mend."""


@dataclass(frozen=True)
class Contract:
    """Of one thing.

    Attributes:
        subject: What it is, which every message begins with: ``"policy 'mine'"``.
    """

    subject: str

    def require(self, kept: bool, broken: str) -> None:
        """Let pass what is kept.

        Raises:
            ContractError: It is not.
        """
        if not kept:
            raise ContractError(f"{self.subject}: {broken}")

    @contextmanager
    def doing(self, what: str, mend: str = "") -> Iterator[None]:
        """What is called in this block may not raise.

        Raises:
            ContractError: It did; the error is its cause.
        """
        try:
            yield
        except ContractError:
            raise
        except Exception as error:
            end = f"; {mend}" if mend else ""
            told = f"{what} raised {type(error).__name__}: {error}{end}"
            raise ContractError(f"{self.subject}: {told}") from error

    @contextmanager
    def lending(self, tensor: Tensor, what: str, broken: str) -> Iterator[Tensor]:
        """A copy for what is called in this block, which may neither raise nor change it.

        Raises:
            ContractError: It did; ``broken`` says that it changed the copy.
        """
        lent = tensor.clone()
        with self.doing(what):
            yield lent
        self.require(torch.equal(lent, tensor), broken)

    def attribute(self, thing: Any, name: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        """An attribute of the right type; bools are no numbers."""
        missing = object()
        found = getattr(thing, name, missing)
        self.require(found is not missing, f"it has no {name}; expected {wanted}")
        right = isinstance(found, kind) and (kind is bool or not isinstance(found, bool))
        self.require(right, f"{name} is {found!r}; expected {wanted}")
        return found

    def two_sides(self, value: Any, name: str, wanted: str) -> tuple[int, int]:
        """A pair of whole numbers ≥ 1, such as a grid."""
        pair = isinstance(value, tuple | list) and len(value) == 2
        whole = pair and all(isinstance(side, Integral) and int(side) >= 1 for side in value)
        self.require(whole, f"{name} is {value!r}; expected {wanted}, two whole numbers ≥ 1")
        return int(value[0]), int(value[1])

    def copied(self, thing: Any) -> Any:
        """A copy by way of bytes, as other processes get it."""
        with self.doing("pickling it", _SENDABLE):
            return cloudpickle.loads(cloudpickle.dumps(thing))


def kind(value: Any) -> str:
    """What came, for messages: ``"torch.float32 [4, 2]"``."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"numpy.{value.dtype} {list(value.shape)}"
    if isinstance(value, tuple):
        return f"{type(value).__name__} ({', '.join(map(kind, value))})"
    told = " ".join(f"{type(value).__name__} {value!r}".split())
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def far_apart(found: Tensor, wanted: Tensor, tolerance: float) -> float:
    """The largest difference, 0 if it is within the tolerance; NaN equals NaN.

    The tolerance is relative to the largest value, and absolute below 1.
    """
    if torch.equal(found, wanted):
        return 0.0
    gap = float((found.double() - wanted.double()).nan_to_num(0).abs().max())
    return gap if gap > tolerance * max(1.0, float(wanted.abs().max())) else 0.0
