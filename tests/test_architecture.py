"""What the house promises beside its import contracts (``lint-imports`` checks those)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import saccade_env

ROOT = Path(__file__).parents[1]
HEAVY = (
    "timm", "stable_baselines3", "pandas", "matplotlib", "torchvision", "imageio", "rich", "pygame",
)  # fmt: skip


def test_only_the_environments_hold_a_state() -> None:
    holders = {
        path.name
        for path in (ROOT / "saccade_env").rglob("*.py")
        if "self._state" in path.read_text(encoding="utf-8")
    }
    assert holders == {"env.py", "vector_env.py", "task.py"}


def test_import_is_cheap() -> None:
    code = f"import sys, saccade_env; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", saccade_env.__all__)
def test_public_names_are_there_without_another_import(name: str) -> None:
    code = f"import saccade_env; saccade_env.{name}"
    if name in ("evaluate", "policies", "rendering"):  # as in a process that imported nothing else
        subprocess.run([sys.executable, "-c", code], check=True)
    assert name in dir(saccade_env)
    assert getattr(saccade_env, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = saccade_env.evaluat  # type: ignore[attr-defined]
