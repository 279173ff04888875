"""The examples run as a newcomer would run them, on a tiny budget."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from saccade_env.agents.hyperparameters import hyperparameters

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
    "tune.py": ["--trials", "1", "--timesteps", "128", "--stages", "2", "--n-steps", "8"],
    "distil.py": ["--epochs", "1"],
    "evaluate.py": ["4"],
    "my_policy.py": ["4"],
    "learning_curve.py": ["one", "two", "--level", "centre=0.3"],
    "train_dqn.py": ["--timesteps", "48", "--buffer-size", "1000", "--limit", "3"],
    "train_ppo.py": ["--timesteps", "16", "--num-envs", "2", "--n-steps", "8"],
    "simulate_cluster.py": ["--actors", "2", "--seconds", "0.2", "--batches", "2"],
    "train_rllib.py": ["--iterations", "1", "--num-env-runners", "1"],
    "play.py": ["--saccades", "2", "--fovea", "5"],
    "my_images.py": [str(EXAMPLES.parent / "saccade_env" / "images" / "sample")],
}
CLICKS = """
import pygame, runpy, sys
from saccade_env.drawing.frame import MARGIN
pygame.display.init()
def click(row, col):
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=(col, row), button=1))
def press(key):
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
click(5, 5), click(100, 700)  # beside the picture: nothing
click(MARGIN, MARGIN), click(240, 240)  # two looks end the first picture
press(pygame.K_RETURN), click(100, 300), press(pygame.K_s)  # the second is stopped
press(pygame.K_RETURN), click(300, 100), press(pygame.K_ESCAPE)  # the third is not finished
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
MASKED = """
import os, runpy, sys, torch
from ray.rllib.core.rl_module import RLModule
saved = os.path.abspath("runs/rllib")
agent = RLModule.from_checkpoint(f"{saved}/learner_group/learner/rl_module/default_policy")
make_env = runpy.run_path(sys.argv[1])["make_env"]
env = make_env({"num_envs": 8, "images": "sample", "classifier": "efficientnet_lite0"})
seen, closed = env.reset(seed=0)[0], 0
for _ in range(18):
    batch = {"obs": {name: torch.from_numpy(value) for name, value in seen.items()}}
    logits = agent.forward_exploration(batch)["action_dist_inputs"]
    actions = torch.distributions.Categorical(logits=logits).sample((500,)).numpy()
    closed += (seen["mask"] == 0).sum()
    assert seen["mask"][range(8), actions].all(), "it looks where everything is revealed"
    seen = env.step(actions[0])[0]
assert closed > 100
env.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_runs(script: str, tmp_path: Path) -> None:
    if script == "train_rllib.py" and not (find_spec("ray") and find_spec("tree")):
        pytest.skip("needs Ray with RLlib: the extra rllib")
    if script == "simulate_cluster.py" and not find_spec("ray"):
        pytest.skip("needs Ray: the extra ray")
    if script == "tune.py" and not find_spec("optuna"):
        pytest.skip("needs Optuna: the extra zoo")
    if script == "play.py" and not find_spec("pygame"):
        pytest.skip("needs pygame: the extra window")
    call = [sys.executable, str(EXAMPLES / script), *BUDGET.get(script, [])]
    if script == "play.py":
        call[1:1] = ["-c", CLICKS]
    for run, last in (("one", 0.4), ("two", 0.5)):
        (tmp_path / run).mkdir()
        lines = f"timesteps,accuracy\n0,0.25\n100,{last}\n"
        (tmp_path / run / "evaluations.csv").write_text(lines)
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if script == "learning_curve.py":
        assert "20.0 (-43.5 to 83.5)" in done.stdout, "15 and 25 points gained, Student's t"
    if script == "compare_rewards.py":
        assert (tmp_path / "runs" / "rewards" / "rewards.png").stat().st_size > 0
        assert len((tmp_path / "runs" / "rewards" / "rewards.csv").read_text().splitlines()) == 7
    if script == "play.py":
        assert "pictures finished: 2\nmean correct: " in done.stdout
    if script == "train_ppo.py":
        assert (tmp_path / "runs" / "ppo" / "model.zip").stat().st_size > 0
        assert list((tmp_path / "runs").rglob("events.out.tfevents*")), "TensorBoard has curves"
    if script == "train_dqn.py":
        assert "100,000 steps of replay: 12.2 MB" in done.stdout
        assert (tmp_path / "runs" / "dqn" / "agent.safetensors").stat().st_size > 0
    if script == "tune.py":
        study = [sys.executable, str(EXAMPLES / script), *BUDGET[script][2:], "--trials", "2"]
        done = subprocess.run(study, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Trial 0 finished" not in done.stderr, "a study goes on where it stopped"
        trials = pd.read_csv(tmp_path / "runs" / "tune" / "trials.csv")
        assert len(trials) == 2
        assert trials["params_learning_rate"].is_unique
        assert hyperparameters("maskable-ppo", {}, tmp_path / "runs" / "tune" / "best.yml")
    if script == "train_rllib.py":
        assert "iteration 0: return" in done.stdout
        asked = [sys.executable, "-c", MASKED, str(EXAMPLES / script)]
        done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
