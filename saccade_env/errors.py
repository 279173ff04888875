"""Messages that several rooms give in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(kind: str, name: str, known: Iterable[str], of: str = "") -> ValueError:
    """Build the error for a misspelt name; it suggests the nearest known one, if one is near.

    Args:
        kind: What the name is a name of: ``"policy"``.
        name: As it came.
        known: Names that would do.
        of: What the names belong to, if to one thing: ``"policy 'dino'"``.
    """
    known = sorted(known)
    owner = f" of {of}" if of else ""
    listed = ", ".join(known) or "none"
    return ValueError(f"unknown {kind} {name!r}{owner}.{nearest(name, known)} Known: {listed}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that suggests the known name that is meant; empty if none is near."""
    lowered = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""
