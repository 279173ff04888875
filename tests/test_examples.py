"""The examples run as a newcomer would run them, on a tiny budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
BUDGET = {
    "compare_rewards.py": [
        "--limit",
        "2",
        "--stride",
        "7",
        "--saccades",
        "2",
        "--timesteps",
        "80",
        "--n-steps",
        "4",
    ],
    "train_ppo.py": ["--timesteps", "16", "--num-envs", "2", "--n-steps", "8"],
    "my_images.py": [str(EXAMPLES.parent / "saccade_env" / "images" / "sample")],
}


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_runs(script: str, tmp_path: Path) -> None:
    call = [sys.executable, str(EXAMPLES / script), *BUDGET.get(script, [])]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if script == "compare_rewards.py":
        assert (tmp_path / "runs" / "rewards" / "rewards.png").stat().st_size > 0
        assert len((tmp_path / "runs" / "rewards" / "rewards.csv").read_text().splitlines()) == 6
    if script == "train_ppo.py":
        assert (tmp_path / "runs" / "ppo" / "model.zip").stat().st_size > 0
        assert list((tmp_path / "runs").rglob("events.out.tfevents*")), "TensorBoard has curves"
