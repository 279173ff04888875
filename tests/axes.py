"""Checks at run time every function of the package whose signature names the axes of an array.

The other ones refuse bad values themselves, which tests hand them on purpose.
"""

from __future__ import annotations

from typing import Any

from beartype import beartype

AXES = ("Tensor, ", "ndarray, ")


def checked(function: Any) -> Any:
    hints = getattr(function, "__annotations__", {}).values()
    named = any(axis in str(hint) for hint in hints for axis in AXES)
    return beartype(function) if named else function
