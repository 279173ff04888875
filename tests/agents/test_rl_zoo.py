"""RL Baselines3 Zoo trains, evaluates and searches on our id, with the YAML that we ship."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from saccade_env import SaccadeConfig, evaluate, images
from saccade_env.agents.sb3_zip import load_sb3

pytestmark = pytest.mark.slow
pytest.importorskip("rl_zoo3", reason="needs RL Baselines3 Zoo: the extra zoo")
YAML = Path(__file__).parents[2] / "examples" / "rl_zoo" / "ppo.yml"
COMMON = [
    "--algo", "ppo", "--env", "SaccadeImageNet-v0", "--gym-packages", "saccade_env",
    "--device", "cpu", "-f", "logs",
]  # fmt: skip
EYE = {"classifier": "efficientnet_lite0", "sees": 64, "shows": ["activation"]}
TASK = [
    "--env-kwargs", "images:'sample'", "classifier:'efficientnet_lite0'",
    "reward:'correct_certainty_gain'", "max_saccades:3",
]  # fmt: skip


def zoo(folder: Path, module: str, *arguments: str) -> str:
    call = [sys.executable, "-m", f"rl_zoo3.{module}", *COMMON, *arguments]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(folder: Path, *arguments: str) -> str:
    small = ["-params", "n_envs:2", "n_steps:6", "batch_size:12"]
    return zoo(folder, "train", "--conf-file", str(YAML), *small, *TASK, *arguments)


def test_it_trains_and_enjoys_and_we_evaluate_what_it_saved(tmp_path: Path) -> None:
    said = train(tmp_path, "-n", "24", "--eval-freq", "12", "--eval-episodes", "2", "--seed", "0")
    assert "Eval num_timesteps=24" in said
    assert "Episode length: 3.00 +/- 0.00" in said, "evaluated in the task that it learns"
    enjoyed = zoo(tmp_path, "enjoy", "--no-render", "-n", "6")
    assert "Mean episode length: 3.00" in enjoyed
    saved = tmp_path / "logs" / "ppo" / "SaccadeImageNet-v0_1"
    observed = {"periphery": 64, "prior": None, "belief": 5, "eye": EYE}
    (saved / "card.json").write_text(json.dumps({"algo": "ppo", "observation": observed}))
    agent = load_sb3(saved / "SaccadeImageNet-v0.zip", trust=True)
    task = SaccadeConfig(max_saccades=3)
    found = evaluate([agent], images.create("sample"), "efficientnet_lite0", task, limit=4)
    assert len(found.records) == 4 * 3


def test_it_searches(tmp_path: Path) -> None:
    # Of this seed it draws n_steps = 32 twice: it may draw 4096.
    search = ["--optimize-hyperparameters", "--n-trials", "2", "--seed", "2", "-n", "64"]
    train(tmp_path, *search, "--n-evaluations", "1", "--eval-episodes", "1", "--no-optim-plots")
    (report,) = (tmp_path / "logs" / "ppo").glob("report_*.csv")
    assert list(pd.read_csv(report)["state"]) == ["COMPLETE", "COMPLETE"]
