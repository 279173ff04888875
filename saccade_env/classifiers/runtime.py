"""How a network runs: keywords that change its speed, and its result within rounding only."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from saccade_env.registry import unknown_name

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_autocast(name: str | None) -> str | None:
    """Pass None or a known type through.

    Raises:
        ValueError: There is no such type.
    """
    if name is not None and name not in AUTOCAST:
        raise unknown_name("autocast type", str(name), AUTOCAST)
    return name


def check_flag(name: str, value: Any) -> bool:
    """Pass True or False through.

    Raises:
        ValueError: It is anything else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false; got {value!r}")
    return value


def autocast(device: torch.device, name: str | None) -> AbstractContextManager[Any]:
    """Compute matrix products and convolutions in ``name`` (``"bfloat16"``, ``"float16"``)."""
    return nullcontext() if name is None else torch.autocast(device.type, AUTOCAST[name])
