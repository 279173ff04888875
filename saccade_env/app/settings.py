"""How the page is opened, and what its experiment shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade_env.config import check_whole
from saccade_env.errors import unknown_name

TABS = ("watch", "play", "explain")


@dataclass(frozen=True)
class Settings:
    """Settings of a page.

    Attributes:
        tabs: What is shown, of :data:`TABS`; an experiment shows Play alone.
        host: Address to listen on; any but this machine's own is open to others.
        port: 0 takes a free one.
        password: Asked for, with any name; None asks for none.
        fixations: CSV file that fixations are added to, of those who consent; None records nothing.
        listed: Ids of the pictures to look at; None takes all of the images.
        trials: How many of them at most.
        seed: Draws their order.
        timer: Seconds a picture may take; None for as long as one likes.

    Raises:
        ValueError: A value is out of range.
    """

    tabs: Sequence[str] = TABS
    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = None
    fixations: Path | None = None
    listed: Sequence[str] | None = None
    trials: int | None = None
    seed: int = 0
    timer: float | None = None

    def __post_init__(self) -> None:
        for tab in self.tabs:
            if tab not in TABS:
                raise unknown_name("tab", tab, TABS)
        if not self.tabs:
            raise ValueError(f"a page needs a tab: {', '.join(TABS)}")
        if ":" in self.host:
            raise ValueError(f"host must be a name or an IPv4 address; got {self.host!r}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535; got {self.port}")
        if self.password is not None and not self.password:
            raise ValueError("the password is empty")
        if self.trials is not None:
            check_whole("trials", self.trials, 1)
        if self.timer is not None and not 0 < self.timer < math.inf:
            raise ValueError(f"timer must be a positive number of seconds; got {self.timer}")

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach the page."""
        return self.host in ("127.0.0.1", "localhost")
