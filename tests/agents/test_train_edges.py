"""What a training says and leaves behind when it does not run its course."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from saccade_env import cli, policies
from saccade_env.agents import checkpoint, settings
from saccade_env.agents.train import Settings, train

pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
QUICK = {"n_steps": 4, "batch_size": 8, "n_epochs": 1,
         "network.channels": 8, "network.blocks": 1}  # fmt: skip


def tiny(out: Path, images: Any, classifier: Any, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "images": images, "classifier": classifier, "algo": "ppo", "saccades": 2, "periphery": 8,
        "n_envs": 2, "timesteps": 8, "eval_share": 0.3, "hyperparameters": QUICK, "workers": 0,
        "reward": "certainty_gain", "progress": False, "out": out,
    }  # fmt: skip
    return Settings(**{**given, **changes})


class _Interrupted:
    """A teacher during whose lesson Ctrl-C is pressed."""

    name, sees_full_image = "interrupted", False

    def reset(self, images: torch.Tensor) -> None: ...

    def act(self, view: Any) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("unreachable")


def test_a_warm_start_that_was_stopped_begins_anew(
    tmp_path: Path, sample: Any, linear: Any
) -> None:
    run = tiny(tmp_path / "run", sample, linear, warm_start="teacher", warm_start_steps=8)
    with pytest.raises(KeyboardInterrupt):
        train(run, lambda name: _Interrupted())
    assert not list(run.out.iterdir()), "or the same command would be refused"
    train(run, lambda name: policies.create("centre"))
    events = EventAccumulator(str(run.out / "tensorboard")).Reload()
    assert len(events.Scalars("warm_start/cross_entropy")) == 2


def test_the_command_does_not_promise_what_it_has_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "create", lambda *_, **__: _Interrupted())
    arguments = [
        "train", "--images", "sample", "--classifier", "efficientnet_lite0", "--algo", "ppo",
        "--warm-start", "random", "--out", str(tmp_path / "o"),
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 130
    assert "nothing is kept to --resume" in done.output
    assert "goes on from there" not in done.output


def test_a_folder_with_something_else_offers_no_resume(
    tmp_path: Path, sample: Any, linear: Any
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="nothing to resume: empty it, or take another"):
        train(tiny(tmp_path, sample, linear))


def test_a_prior_without_a_map_is_refused(tmp_path: Path, sample: Any, linear: Any) -> None:
    run = tiny(tmp_path / "run", sample, linear, prior="greedy-oracle")
    with pytest.raises(ValueError, match="'greedy-oracle' has no saliency map"):
        train(run, policies.create)
    assert not run.out.exists()


def test_policy_kwargs_reach_the_policy(tmp_path: Path, sample: Any, linear: Any) -> None:
    pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    given = settings.parse_settings(["policy_kwargs={lstm_hidden_size: 16}"])
    run = tiny(tmp_path / "run", sample, linear, algo="recurrent-ppo",
               hyperparameters={**QUICK, **given})  # fmt: skip
    train(run)
    kept = checkpoint.read(run.out / checkpoint.CHECKPOINT)
    assert kept["parameters"]["policy"]["lstm_actor.weight_hh_l0"].shape == (64, 16)
    assert kept["card"]["hyperparameters"]["algorithm"]["policy_kwargs"] == {"lstm_hidden_size": 16}
    train(run, resume=True)
    with pytest.raises(ValueError, match="unknown hyperparameter '_init_setup_model'"):
        settings.hyperparameters(tiny(tmp_path, sample, linear,
                                      hyperparameters={"_init_setup_model": False}))  # fmt: skip
