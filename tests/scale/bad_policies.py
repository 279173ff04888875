"""Policies that end their worker, raise what cannot be sent, or cannot be sent themselves.

They behave at home, where their cost is counted before any worker starts.
"""

import os
import threading
from typing import Any

from saccade_env import evaluate, images, policies
from saccade_env.images.derived import Subset
from saccade_env.scale import RayEngine


class OddError(Exception):
    """Cannot be unpickled: it takes two arguments, and keeps none."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__()
        self.said = one, other

    def __repr__(self) -> str:
        return f"OddError{self.said!r}"


class Bad(type(policies.create("centre"))):  # type: ignore[misc]
    """Does what its name says, in other processes than the one that it was made in."""

    home = os.getpid()

    def act(self, view: Any) -> Any:
        if os.getpid() == self.home:
            return super().act(view)
        if self.name == "exits":
            raise SystemExit(3)
        raise OddError("a", "b")


def main() -> None:
    source, engine = Subset(images.create("sample"), range(4)), RayEngine()
    for name in ("exits", "odd", "held"):
        policy = Bad()
        policy.name = name
        if name == "held":
            policy.lock = threading.Lock()
        try:
            evaluate([policy], source, "efficientnet_lite0", engine=engine, progress=False)
        except Exception as error:
            print(f"{name}: {type(error).__name__} {error}", flush=True)


if __name__ == "__main__":
    main()
