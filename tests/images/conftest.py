"""Folders of real pictures, made for one test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from saccade_env.images import SAMPLE


@pytest.fixture
def fill() -> Callable[..., Path]:
    """Copies real pictures to the given paths below a folder, and returns the folder."""
    pictures = sorted(SAMPLE.glob("*/*.jpg"))

    def fill(root: Path, *names: str) -> Path:
        for i, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pictures[i % len(pictures)], root / name)
        return root

    return fill
