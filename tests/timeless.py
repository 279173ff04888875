"""Files of runs that are the same to the byte, but for times, which are never the same twice."""

from __future__ import annotations

import re
from pathlib import Path

_TIMES = re.compile(rb'("(?:policy|classifier)_ms": )(?:[\d.e+-]+|null)')


def timeless(path: Path) -> bytes:
    """What is in a file, with 0 for every time, known or not."""
    return _TIMES.sub(rb"\g<1>0", path.read_bytes())
