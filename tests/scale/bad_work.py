"""A broken picture, and policies that end a worker, raise what cannot be sent, or cannot be sent.

Policies behave at home, where their cost is counted before any worker starts.

python bad_work.py FOLDER   (a new one, for pictures)
"""

import os
import sys
import threading
from pathlib import Path
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


def main(folder: Path) -> None:
    folder.mkdir()
    for number, path in enumerate(sorted(images.SAMPLE.rglob("*.jpg"))[:4]):
        whole = path.read_bytes()
        (folder / f"{number}.jpg").write_bytes(whole if number != 2 else whole[:200])
    centre, source = policies.create("centre"), Subset(images.create("sample"), range(4))
    said("broken", centre, folder)
    skipped = said("left out", centre, folder, on_error="skip").summary["skipped"]
    print("left out:", len(skipped), flush=True)
    for name in ("exits", "odd", "held"):
        policy = Bad()
        policy.name = name
        if name == "held":
            policy.lock = threading.Lock()
        said(name, policy, source)


def said(name: str, policy: Any, pictures: Any, **keywords: Any) -> Any:
    """What comes of an evaluation on Ray; errors are printed."""
    common = {"engine": RayEngine(), "progress": False, "check_labels": False, "draw": False}
    try:
        return evaluate([policy], pictures, "efficientnet_lite0", **common, **keywords)
    except Exception as error:
        print(f"{name}: {type(error).__name__} {error}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
