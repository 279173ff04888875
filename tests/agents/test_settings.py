"""What a training is told: names, values and ranges are checked before it begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from small_trainings import QUICK, tiny

from saccade_env.agents import hyperparameters
from saccade_env.agents.train import train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algo": "pop"}, "unknown algorithm 'pop'. Did you mean 'ppo'"),
        ({"hyperparameters": {"gama": 1}}, "unknown hyperparameter 'gama'. Did you mean 'gamma'"),
        ({"hyperparameters": {"net.channels": 1}}, "Did you mean 'network'"),
        ({"hyperparameters": {"seed": 1}}, "unknown hyperparameter 'seed'"),
        ({"prior": "centre"}, "give make_policy"),
        ({"reward": "fame"}, "reward"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(tiny(tmp_path / "run", **{"algo": "ppo", **changes}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timesteps": -1}, "timesteps must be a whole number ≥ 0; got -1"),
        ({"n_envs": 1.5}, "n_envs must be a whole number ≥ 1; got 1.5"),
        ({"seed": -1}, "seed must be ≥ 0"),
        ({"periphery": -1}, "periphery must be ≥ 0"),
        ({"periphery": 10**6}, "periphery must be ≥ 0 and ≤ 1024 pixels; got 1000000"),
        ({"action": "grid"}, "agents need action='token'; got 'grid'"),
        ({"eval_share": 1.0}, "eval_share must be above 0 and below 1"),
    ],
)
def test_values_out_of_range_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(tmp_path, **changes)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match="pip install sb3-contrib"):
        hyperparameters.algorithm("maskable-ppo")


def test_hyperparameters_of_a_file_and_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("ppo: {gamma: 0.5, learning_rate: 1e-2}\nnetwork: {blocks: 2}\n")
    given = hyperparameters.parse_settings(
        ["learning_rate=lin_1e-3", "network.channels=8", "gamma=1e-1"]
    )
    chosen = hyperparameters.hyperparameters("ppo", given, file)
    assert chosen["network"] == {"channels": 8, "blocks": 2, "embedding": 32}
    assert chosen["algorithm"]["gamma"] == 0.1
    schedule = hyperparameters.built(chosen["algorithm"])["learning_rate"]
    assert schedule(0.5) == pytest.approx(5e-4)
    with pytest.raises(ValueError, match="must be key=value; got 'gamma'"):
        hyperparameters.parse_settings(["gamma"])
    with pytest.raises(ValueError, match="'gamma' must be a number ≥ 0 and ≤ 1; got 'abc'"):
        hyperparameters.hyperparameters("ppo", {"gamma": "abc"})
    file.write_text("pop: {gamma: 0.5}\n")
    with pytest.raises(ValueError, match="Did you mean 'ppo'"):
        hyperparameters.hyperparameters("ppo", given, file)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("n_steps=0", "'n_steps' must be a whole number ≥ 1; got 0"),
        ("n_steps=1.5", "'n_steps' must be a whole number ≥ 1; got 1.5"),
        ("n_steps=true", "'n_steps' must be a whole number"),
        ("n_epochs=", "'n_epochs' must be a whole number ≥ 1; got None"),
        ("batch_size=1", "'batch_size' must be a whole number ≥ 2"),
        ("learning_rate=0", "'learning_rate' must be a number or lin_3e-4"),
        ("learning_rate=.nan", "'learning_rate' must be a number"),
        ("learning_rate=.inf", "'learning_rate' must be a number"),
        ("learning_rate=lin_fast", "'learning_rate' must be a number or lin_3e-4"),
        ("learning_rate=lin_-1", "'learning_rate' must be a number or lin_3e-4"),
        ("gamma=lin_0.9", "'gamma' must be a number ≥ 0 and ≤ 1; got 'lin_0.9'"),
        ("ent_coef=[1]", r"'ent_coef' must be a number ≥ 0; got \[1\]"),
        ("normalize_advantage=1", "'normalize_advantage' must be true or false; got 1"),
        ("policy_kwargs=3", "'policy_kwargs' must be {name: value, …} or null; got 3"),
        ("rollout_buffer_class=os.system", "'rollout_buffer_class' must be null"),
        ("network.channels=12", "channels must be a multiple of 8; got 12"),
        ("network.channels=1e9", "'channels' must be a whole number ≥ 8 and ≤ 512"),
        ("network.blocks=-1", "'blocks' must be a whole number ≥ 0"),
        ("network.embedding=-1", "'embedding' must be a whole number ≥ 0 and ≤ 512; got -1"),
        ("warm-start.regression=-1", "'regression' must be a number ≥ 0; got -1"),
        ("warm-start.rounds=0", "'rounds' must be a whole number ≥ 1; got 0"),
        ("warm-start.held_back=3", "unknown hyperparameter 'held_back'"),
        ("warm-start.asked=0", "'asked' must be a number"),
        ("warm-start.n_epochs=0", "'n_epochs' must be a whole number ≥ 1"),
        ("warm-start.seed=3", "unknown hyperparameter 'seed'"),
        ("policy_kwargs={nett: 3}", "refuses the hyperparameters: .*'nett'"),
    ],
)
def test_hyperparameters_are_checked_before_anything_is_done(
    pair: str, message: str, tmp_path: Path
) -> None:
    given = {**QUICK, **hyperparameters.parse_settings([pair])}
    run = tiny(tmp_path / "run", algo="ppo", hyperparameters=given)
    with pytest.raises(ValueError, match=message):
        train(run)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ppo: {n_steps: 0}", r"mine.yml, ppo: hyperparameter 'n_steps' must be .* got 0"),
        ("ppo: {n_stesp: 4}", r"mine.yml, ppo: hyperparameter 'n_stesp'. Did you mean 'n_steps'"),
        ("network: {1: 2}", r"mine.yml, network: hyperparameter '1'"),
        ("3: {a: 1}", r"section of .*mine.yml '3'"),
        ("ppo: 3", "mine.yml must hold a section an algorithm"),
        ("- a", "mine.yml must hold a section an algorithm"),
        ("", "mine.yml must hold a section an algorithm"),
        ("ppo: {", "mine.yml is not YAML"),
        ("ppo: \udcff", "mine.yml is not YAML"),
    ],
)
def test_a_file_of_hyperparameters_names_itself(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(text, errors="surrogateescape")
    run = tiny(tmp_path / "run", algo="ppo", hyperparameter_file=file)
    with pytest.raises(ValueError, match=message):
        train(run)
    assert not (tmp_path / "run").exists()
