"""Examples in public docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import saccade_env

ROOT = Path(saccade_env.__file__).parents[1]
ROOMS = {
    "saccade_env": "saccade_env",
    "policies": "saccade_env.policies",
    "agents": "saccade_env.agents",
}
MODULES = [
    ".".join((name, *path.relative_to(ROOT / room).with_suffix("").parts)).removesuffix(".__init__")
    for room, name in ROOMS.items()
    for path in sorted((ROOT / room).rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(module, optionflags=options)
    assert tried
    assert not failed


def test_there_are_examples() -> None:
    assert len(MODULES) > 8
