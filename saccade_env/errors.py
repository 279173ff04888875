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
    names = sorted(known)
    lowered = {known.lower(): known for known in names}
    near = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=1)]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    owner = f" of {of}" if of else ""
    return ValueError(f"unknown {kind} {name!r}{owner}.{hint} Known: {', '.join(names) or 'none'}.")
