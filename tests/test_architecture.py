"""Imports point one way, and importing the package stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("timm", "stable_baselines3", "pandas", "matplotlib", "torchvision", "imageio", "rich")

# Who may not import whom; cli/ is the roof.
FORBIDDEN = {
    "saccade_env": ("saccade_env.policies", "saccade_env.agents", "stable_baselines3"),
    "policies": ("saccade_env.agents", "stable_baselines3"),
    "agents": ("saccade_env.policies",),
}
BASE = ("config", "geometry", "registry", "rows", "core")
FACES = tuple(f"saccade_env.{n}" for n in ("env", "vector_env", "evaluation", "rendering"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_in_one_direction(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        if path.parent.name == "cli":
            continue
        bad = {name for name in imported(path) if name.startswith(FORBIDDEN[room])}
        assert not bad, f"{path} imports {bad}"


@pytest.mark.parametrize("module", BASE)
def test_the_core_knows_no_face(module: str) -> None:
    path = ROOT / "saccade_env" / f"{module}.py"
    assert not {name for name in imported(path) if name.startswith(FACES)}


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
