"""Names to things: one table an entry a line, built when asked for.

Classifiers and policies each keep a :class:`Registry`. Listing never imports what it lists. What
builds them has parameters that a name may set first, and those of its surroundings (grid, device,
image size) after a ``*``, by keyword alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saccade_env.errors import unknown_name


def parse_spec(name: str) -> tuple[str, dict[str, Any]]:
    """``"dino:layer=5,resolution=160x192"`` to a name and keywords.

    Values are whole numbers, decimals, true or false, (height)x(width), else text.

    Raises:
        ValueError: A parameter is not of the form key=value.
    """
    base, _, tail = name.partition(":")
    keywords: dict[str, Any] = {}
    for pair in filter(None, tail.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"parameter must be key=value; got {pair!r} in {name!r}")
        keywords[key] = _value(value)
    return base, keywords


def _value(text: str) -> Any:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"\d+x\d+", text):
        return tuple(int(side) for side in text.split("x"))
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Entry:
    """One thing that can be created by name.

    Attributes:
        target: ``"module:callable"`` that builds it.
        summary: One line for listings.
        defaults: Keyword arguments this name stands for.
        requires: Modules that must be importable.
        extra: The extra of this package that installs them.
        licence: Licence of the weights, if any.
        size_mb: Size of the weights in whole megabytes, 0 without.
        weights: Name under which its weights are downloaded, see ``classifiers.weights``.
        ceiling: It sees the label: a bound to hold others against, not one of them.
    """

    target: str
    summary: str
    defaults: tuple[tuple[str, Any], ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""
    licence: str = ""
    size_mb: int = 0
    weights: str = ""
    ceiling: bool = False

    def blocked(self) -> str:
        """Why it cannot be created even with network access; empty if it can."""
        absent = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if not absent:
            return ""
        packages = " ".join(name.replace("_", "-") for name in absent)
        extra = f" (the extra {self.extra!r})" if self.extra else ""
        return f"needs {', '.join(absent)}: pip install {packages}{extra}"


class Registry:
    """A table of entries of one kind.

    Args:
        kind: What they are, for messages.
        entries: By name.
        is_cached: Whether the weights of this name are on this machine.
    """

    def __init__(
        self, kind: str, entries: dict[str, Entry], is_cached: Callable[[str], bool]
    ) -> None:
        self.kind, self.entries, self._is_cached = kind, entries, is_cached

    def __getitem__(self, name: str) -> Entry:
        if name not in self.entries:
            raise unknown_name(self.kind, name, self.entries)
        return self.entries[name]

    def available(self) -> list[str]:
        """Names that can be created on this machine without the network, except ceilings."""
        return [
            name
            for name, entry in self.entries.items()
            if not entry.ceiling and not self.missing(name)
        ]

    def missing(self, name: str) -> str:
        """What an entry lacks on this machine, with what to do about it; empty if nothing."""
        entry = self[name]
        if entry.blocked() or not entry.weights or self._is_cached(entry.weights):
            return entry.blocked()
        return f"saccade-env download {entry.weights}"

    def create(self, name: str, **keywords: Any) -> Any:
        """Build the thing called ``name``, which may hold parameters: see :func:`parse_spec`.

        Raises:
            ValueError: No such name, or no such parameter; the message says which.
            ImportError: A package it needs is missing; the message gives the install command.
            WeightsError: Its weights cannot be had, or are not what they should be.
        """
        name, parameters = parse_spec(name)
        keywords = {**parameters, **keywords}
        entry = self[name]
        if reason := entry.blocked():
            raise ImportError(f"{self.kind} {name!r} {reason}")
        module, _, attribute = entry.target.partition(":")
        build: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        try:
            return build(**{**dict(entry.defaults), **keywords})
        except TypeError as error:
            wrong = re.search("unexpected keyword argument '(.+)'", str(error))
            if not wrong or wrong[1] not in keywords:
                raise
            raise ValueError(f"{self.kind} {name!r} has no parameter {wrong[1]!r}") from error
