"""What can be created by name: our own entries, and those that installed packages offer.

A package offers one by an entry point, such as ``mine = "my_package:MyPolicy"`` in the group
``saccade_env.policies``. Which there are is read from the metadata of installed packages; nothing
of theirs is imported until it is asked for by name, or listed by ``saccade-env list``.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from importlib import metadata
from operator import attrgetter
from typing import Any


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
        model: What has to follow its name: the name of a network in another package.
        ceiling: It sees the label: a bound to hold others against, not one of them.
        slow: It takes many forwards a saccade, and competes only where it is named.
        package: Name and version of the package that it comes from, if it is none of ours.
        unusable: Why that package's entry cannot be used, as far as its metadata say.
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
    slow: bool = False
    model: str = ""  # what has to follow the name
    package: str = ""
    unusable: str = ""

    def load(self) -> Callable[..., Any]:
        """What builds it, imported."""
        module, _, attribute = self.target.partition(":")
        build: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
        return build

    def blocked(self) -> str:
        """Why it cannot be created even with network access; empty if it can.

        Another package's is imported to find out.
        """
        if self.package:
            return self.unusable or self._broken()
        absent = [name for name in self.requires if importlib.util.find_spec(name) is None]
        if not absent:
            return ""
        packages = " ".join(name.replace("_", "-") for name in absent)
        extra = f" (the extra {self.extra!r})" if self.extra else ""
        return f"needs {', '.join(absent)}: pip install {packages}{extra}"

    def _broken(self) -> str:
        try:
            build = self.load()
        except (Exception, SystemExit) as error:  # whatever another package does when imported
            told = " ".join(f"{type(error).__name__}: {error}".split())
            return f"of {self.package} is broken: {told}"
        if not callable(build):
            return f"of {self.package} is broken: {self.target} is no class or function"
        return ""


def installed(group: str, kind: str, taken: Collection[str]) -> dict[str, Entry]:
    """Entries that installed packages offer, by name; ours, which are ``taken``, come first.

    Args:
        group: Of the entry points.
        kind: What they are, for messages.
        taken: Names that no other package can have.

    Warns:
        UserWarning: One is left out, as its name is taken or can be no name.
    """
    found: dict[str, Entry] = {}
    for point in metadata.entry_points(group=group):
        entry, name = _entry_of(point), point.name
        if reason := _no_name(name, taken):
            told = f"{kind} {name!r} of {entry.package} is left out: {reason}"
            warnings.warn(f"{told}; rename the entry point", stacklevel=2)
        elif name in found:
            both = f"{found[name].package} and {entry.package}"
            found[name] = replace(entry, unusable=f"is offered by {both}: uninstall one")
        else:
            found[name] = entry
    return found


def _no_name(name: str, taken: Collection[str]) -> str:
    if name in taken:
        return "saccade_env has one of this name"
    plain = re.fullmatch(r"[\w.-]+", name)
    return "" if plain else "a name has letters, digits, '_', '-' and '.' alone"


def _entry_of(point: metadata.EntryPoint) -> Entry:
    about: dict[str, Any] = point.dist.metadata.json if point.dist else {}
    package = " ".join(about[key] for key in ("name", "version") if key in about)
    summary = about.get("summary", "")
    target, _, _ = point.value.partition("[")  # extras, which name what it needs
    package = package or "an unknown package"
    whole = re.fullmatch(r"[\w.]+:[\w.]+", target := target.strip().replace(" ", ""))
    broken = f"of {package} is broken: its entry point {point.value!r} is no 'module:callable'"
    return Entry(target, summary, package=package, unusable="" if whole else broken)
