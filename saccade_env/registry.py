"""Names to things: one table an entry a line, built when asked for.

Classifiers and policies each keep a :class:`Registry`. Listing never imports what it lists,
but for what other packages add (see ``entries.py``). What
builds them has parameters that a name may set first, and those of its surroundings (grid, device,
image size) after a ``*``, by keyword alone. In a name parameters are text, as in
``"dino:layer=5,resolution=160x192"``; what they are is read off the signature.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, partial, reduce
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from saccade_env.entries import Entry as Entry
from saccade_env.entries import installed
from saccade_env.errors import nearest, unknown_name

MODEL = "model"  # the parameter that may come first without saying so


def parse_spec(name: str) -> tuple[str, dict[str, str]]:
    """``"dino:layer=5,resolution=160x192"`` to a name and parameters, which stay text.

    What comes first may be a name by itself, as in ``"timm:deit_tiny_patch16_224"``.

    Raises:
        ValueError: A parameter is not of the form key=value, or is given twice.
    """
    base, colon, tail = name.partition(":")
    parameters: dict[str, str] = {}
    for place, pair in enumerate(tail.split(",") if colon else ()):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (equals or place) and key:
            key, value = MODEL, key
        if ":" in key:
            raise ValueError(
                f"parameters follow a comma, not a second colon; got {pair!r} in {name!r}"
            )
        if not key or not value:
            raise ValueError(f"a parameter must be key=value; got {pair!r} in {name!r}")
        if key in parameters:
            raise ValueError(f"parameter {key!r} is given twice in {name!r}")
        parameters[key] = value
    return base, parameters


def read_parameters(
    build: Callable[..., Any], parameters: Mapping[str, str], owner: str, given: Iterable[str] = ()
) -> dict[str, Any]:
    """Turn parameters into the values that a class or function takes.

    Whole numbers, decimals, ``true`` and ``false``, ``160x192`` for two whole numbers, ``none``
    and text are understood, as the annotation of the keyword asks for.

    Args:
        build: The class or function.
        parameters: Text by name.
        owner: What has these parameters, for messages: ``"policy 'dino'"``.
        given: Keywords that the caller sets.

    Raises:
        ValueError: There is no such parameter, a name cannot set it, or it takes no such value.
    """
    known = keywords_of(build)
    written = {
        name: forms
        for name, keyword in known.items()
        if keyword.kind is not keyword.KEYWORD_ONLY
        and name not in given
        and (forms := _forms(keyword.annotation))
    }
    for name, text in parameters.items():
        if name == MODEL and name not in known:
            raise ValueError(f"a parameter must be key=value; got {text!r} of {owner}")
        if name not in known:
            raise unknown_name("parameter", name, written, of=owner)
        if name not in written:
            raise ValueError(f"parameter {name!r} of {owner} cannot be set in a name")
    return {
        name: _value(text, written[name], f"parameter {name!r} of {owner}")
        for name, text in parameters.items()
    }


def keywords_of(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What may be set by keyword, by name, without what a function cannot do without.

    What ``**keywords`` pass on is among it: to the class's parent, or to what ``Annotated`` names.
    """
    functions = [build]
    if isinstance(build, type):
        functions = [vars(one)["__init__"] for one in build.mro()[:-1] if "__init__" in vars(one)]
    found: dict[str, inspect.Parameter] = {}
    for function in functions:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        free = {p.name: p for p in parameters if p.default is not p.empty}
        found = {**free, **{p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}, **found}
        passed_on = [p.annotation for p in parameters if p.kind is p.VAR_KEYWORD]
        if not passed_on:
            break
        if elsewhere := get_args(passed_on[0])[1:]:
            return reduce(lambda known, other: keywords_of(other) | known, elsewhere, found)
    return found


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _pair(text: str) -> tuple[int, int]:
    first, second = map(int, text.split("x"))
    return first, second


_FORMS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    NoneType: ("none", {"none": None}.__getitem__),
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number", int),
    float: ("a number", _finite),
    tuple[int, int]: ("two whole numbers as in 160x192", _pair),
    str: ("text", str),
}


def _forms(hint: Any) -> dict[str, Callable[[str], Any]]:
    """Ways to write a value of a type, by what they are called; empty where there is none."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found = dict(form for kind, form in _FORMS.items() if kind in kinds)  # text comes last
    for choice in (c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)):
        found[str(choice)] = {str(choice): choice}.__getitem__
    return found if list(found) != ["none"] else {}


def _value(text: str, forms: Mapping[str, Callable[[str], Any]], what: str) -> Any:
    for read in forms.values():
        try:
            return read(text)
        except (ValueError, KeyError):
            continue
    expected = " or ".join(forms)
    raise ValueError(f"{what} must be {expected}; got {text!r}.{nearest(text, forms)}")


class Registry:
    """A table of entries of one kind.

    Args:
        kind: What they are, for messages.
        entries: By name.
        is_cached: Whether the weights of this name are on this machine.
        group: Of entry points by which other packages add to it.
        reserved: Names that stand for something else.
    """

    def __init__(
        self,
        kind: str,
        entries: dict[str, Entry],
        is_cached: Callable[[str], bool],
        group: str,
        reserved: Collection[str] = (),
    ) -> None:
        self.kind, self._ours, self._is_cached = kind, entries, is_cached
        self._group, self._reserved = group, reserved

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """All by name: ours first, then those of installed packages."""
        others = installed(self._group, self.kind, [*self._ours, *self._reserved])
        return {**self._ours, **others}

    def __getitem__(self, name: str) -> Entry:
        if name not in self.entries:
            raise unknown_name(self.kind, name, self.entries)
        return self.entries[name]

    def available(self) -> list[str]:
        """Names that can be created here without the network.

        Except ceilings, slow ones, and those of other packages, which are not imported for it.
        """
        return [
            name
            for name, entry in self.entries.items()
            if not (entry.ceiling or entry.slow or entry.model or entry.package)
            and not self.missing(name)
        ]

    def missing(self, name: str) -> str:
        """What an entry lacks on this machine, with what to do about it; empty if nothing."""
        entry = self[name]
        if entry.blocked() or not entry.weights or self._is_cached(entry.weights):
            return entry.blocked()
        return f"saccade-env download {entry.weights}"

    def builder(
        self, name: str, parameters: Mapping[str, str], given: Collection[str] = ()
    ) -> Callable[..., Any]:
        """What builds the thing called ``name`` from the keywords ``given``, all names checked.

        Raises:
            ValueError: No such name or parameter, or no such value; the message says which.
            ImportError: A package it needs is missing; the message gives the install command.
        """
        entry, owner = self[name], f"{self.kind} {name!r}"
        if reason := entry.blocked():
            raise ImportError(f"{owner} {reason}")
        build = entry.load()
        if entry.model and MODEL not in {**parameters, **dict.fromkeys(given)}:
            raise ValueError(f"{owner} needs a network: {name}:{entry.model}")
        own = dict(entry.defaults)
        known = keywords_of(build)
        if unknown := [key for key in given if key not in known]:
            if entry.package:
                raise ValueError(
                    f"{owner} of {entry.package} is built without {', '.join(unknown)}; what "
                    f"builds a {self.kind} must take that by keyword"
                )
            raise unknown_name("parameter", unknown[0], known, of=owner)
        return partial(build, **own, **read_parameters(build, parameters, owner, [*own, *given]))

    def create(self, name: str, **keywords: Any) -> Any:
        """Build the thing called ``name``, which may hold parameters: see :func:`parse_spec`.

        Raises:
            ValueError: No such name or parameter, or no such value; the message says which.
            ImportError: A package it needs is missing; the message gives the install command.
            WeightsError: Its weights cannot be had, or are not what they should be.
        """
        return self.builder(*parse_spec(name), keywords)(**keywords)
