"""Recipes: a file of the command's options, which the command line overrides."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from saccade_env import cli

TEXT = """
train:
  algo: ppo
  timesteps: 1e4
  warm-start: greedy-oracle:stride=3
  warm_start_steps: 500
  periphery: 0
  belief: true
  eye: 64
  eye-shows: [activation, features]
  reward: true_class_log_gain
  saccades: 6
  augment: true
ppo:
  gamma: 0.9
warm-start:
  rounds: 2
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Settings that a command would train with, or what it says instead."""
    trained: list[Any] = []
    judge = SimpleNamespace(grid=(14, 14))
    monkeypatch.setattr("saccade_env.agents.train.train", lambda *given: trained.append(given[0]))
    monkeypatch.setattr("saccade_env.task.open_pair", lambda images, *_: (images, judge))

    def run(text: str, *more: str) -> Any:
        (tmp_path / "recipe.yml").write_text(text)
        call = ["train", "--config", str(tmp_path / "recipe.yml"), "--images", "sample"]
        done = CliRunner().invoke(cli.app, [*call, "--out", str(tmp_path / "run"), *more])
        return done.output if done.exit_code else trained.pop()

    return run


def test_options_come_from_the_file(run: Any, tmp_path: Path) -> None:
    found = run(TEXT)
    assert (found.algo, found.timesteps, found.seed) == ("ppo", 10_000, 0)
    assert (found.warm_start, found.warm_start_steps) == ("greedy-oracle:stride=3", 500)
    assert (found.periphery, found.belief, found.augment) == (0, True, True)
    assert (found.eye, found.eye_shows) == (64, ("activation", "features"))
    assert (found.config.reward, found.config.max_saccades) == ("true_class_log_gain", 6)
    assert (found.hyperparameters, found.hyperparameter_file) == ({}, tmp_path / "recipe.yml")
    assert found.out == tmp_path / "run"


def test_the_command_line_goes_over_the_file(run: Any) -> None:
    found = run(
        TEXT, "--timesteps", "20", "--eye", "image", "--eye-shows", "glimpses", "--seed", "3",
        "--set", "gamma=0.5", "--periphery", "8",
    )  # fmt: skip
    assert (found.timesteps, found.seed, found.periphery) == (20, 3, 8)
    assert (found.eye, found.eye_shows) == ("image", ("glimpses",))
    assert found.hyperparameters == {"gamma": 0.5}
    assert found.warm_start_steps == 500, "what it does not say stays the file's"


def test_without_a_file_nothing_is_seen_by_an_eye(run: Any) -> None:
    found = run("ppo: {gamma: 0.9}")
    assert (found.eye, found.eye_shows, found.eye_classifier) == ("none", ("activation",), None)
    assert (found.algo, found.timesteps) == ("maskable-ppo", 100_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {timestep: 3}", "'timestep'. Did you mean 'timesteps'"),
        ("train: {eye_show: activation}", "'eye_show'. Did you mean 'eye_shows'"),
        ("train: {out: runs/1}", "unknown option in section 'train' of .*recipe.yml: 'out'"),
        ("train: {config: other.yml}", "unknown option .*: 'config'"),
        ("train: {timesteps: many}", "'--timesteps': Input should be a valid integer"),
        ("train: {timesteps: -1}", "'--timesteps': Input should be greater than or equal to"),
        ("train: 3", "must hold a section an algorithm"),
        ("trian: {timesteps: 3}", "'trian'. Did you mean 'train'"),
        ("train: {algo: pop}", "unknown algorithm 'pop'. Did you mean 'ppo'"),
    ],
)
def test_what_is_wrong_in_it_is_named(run: Any, text: str, message: str) -> None:
    said = re.sub(r"[\s│]+", " ", run(text))
    assert re.search(message, said), said
