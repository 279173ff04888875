"""Training: it learns, it goes on exactly where it stopped, and it says what is wrong."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small_cnns import small_cnn
from small_trainings import (
    CLASSES,
    GRID,
    QUICK,
    SMALL,
    SeesBright,
    assert_same_end,
    make_policy,
    tiny,
)
from torch import Tensor
from typer.testing import CliRunner

from saccade_env import cli, policies
from saccade_env.agents import AgentPolicy, checkpoint, hyperparameters
from saccade_env.agents.demonstrations import read
from saccade_env.agents.sb3_zip import export
from saccade_env.agents.train import train

SB3_WARNS = [
    "ignore:You are trying to run PPO on the GPU:UserWarning",
    "ignore::tqdm.TqdmExperimentalWarning",
]
pytestmark = [pytest.mark.filterwarnings(text) for text in SB3_WARNS]


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo"])
def test_it_finds_the_bright_patch(algo: str, tmp_path: Path) -> None:
    if algo == "maskable-ppo":
        pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    learning = {"n_steps": 16, "batch_size": 64, "learning_rate": 3e-3, "ent_coef": 0.0,
                **SMALL}  # fmt: skip
    run = tiny(
        tmp_path / "run", algo=algo, n_envs=16, timesteps=5000, eval_every=5000,
        save_every=100_000, hyperparameters=learning, eval_share=0.2,
    )  # fmt: skip
    train(run)
    table = pd.read_csv(run.out / "evaluations.csv")
    assert table["accuracy_at_03"].iloc[0] < 0.3, "an untrained one is about as good as chance"
    assert table["accuracy_at_03"].iloc[-1] > 0.7, "chance finds 3 of 36 tokens"
    assert table["reward"].iloc[-1] > table["reward"].iloc[0] + 0.4


@pytest.mark.parametrize(
    "algo",
    [
        pytest.param(algo, marks=[pytest.mark.slow] * algo.endswith("ppo"))
        for algo in hyperparameters.ALGORITHMS
    ],
)
@pytest.mark.slow
def test_every_algorithm_resumes_exactly(algo: str, tmp_path: Path) -> None:
    if hyperparameters.ALGORITHMS[algo].startswith("sb3_contrib"):
        pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    quick = {"learning_starts": 8, "batch_size": 8, "buffer_size": 100, "train_freq": 2,
             **SMALL}  # fmt: skip
    changes = {"algo": algo, "hyperparameters": quick if algo == "dqn" else QUICK}
    whole = tiny(tmp_path / "whole", **changes)
    train(whole)
    broken = tiny(tmp_path / "broken", **changes, classifier=_Fails(after=11))
    with pytest.raises(RuntimeError, match="power cut"):
        train(broken)
    assert 0 < checkpoint.read(broken.out / "checkpoint.pt")["fields"]["num_timesteps"] < 40
    train(replace(broken, classifier=SeesBright()), resume=True)
    assert_same_end(whole.out, broken.out)


class _Fails(SeesBright):
    """Fails after some calls in the rollouts."""

    def __init__(self, after: int) -> None:
        self.left = after

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        self.left -= len(memory) == 4
        if self.left == 0:
            raise RuntimeError("power cut")
        return super().classify(memory, revealed)


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on(sample: Any, linear: Any, tmp_path: Path) -> None:
    real = {"images": sample, "fovea": 3, "max_saccades": 3, "augment": True, "belief": True,
            "prior": "centre", "stop_action": True, "saccade_cost": 0.01,
            "save_every": 1000, "reward": "certainty_gain", "workers": 2, "eval_share": 0.3,
            "warm_start": "random", "warm_start_steps": 24}  # fmt: skip
    pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    make = policies.create
    whole = tiny(tmp_path / "whole", classifier=linear, **real)
    train(whole, make)
    broken = replace(whole, out=tmp_path / "broken", classifier=_Interrupts(linear, 15))
    with pytest.raises(KeyboardInterrupt):
        train(broken, make)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps = json.loads((broken.out / "card.json").read_text())["steps"]
    assert 0 < steps < 64
    assert (broken.out / "checkpoint.pt").stat().st_size < 20e6, "no network or data set in it"
    train(replace(broken, classifier=linear), make, resume=True)
    assert_same_end(whole.out, broken.out)


class _Interrupts:
    """Another classifier, until Ctrl-C is pressed during a call."""

    def __init__(self, judge: Any, after: int) -> None:
        self._judge, self.left = judge, after

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_judge"], name)

    def begin(self, images: Tensor) -> Tensor:
        return self._judge.begin(images)

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        self.left -= len(memory) == 4
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self._judge.classify(memory, revealed)


@pytest.mark.parametrize(
    "algo",
    [
        pytest.param("ppo", marks=pytest.mark.slow),
        "maskable-ppo",
        pytest.param("dqn", marks=pytest.mark.slow),
        pytest.param("recurrent-ppo", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_a_teacher_is_imitated(algo: str, tmp_path: Path) -> None:
    if hyperparameters.ALGORITHMS[algo].startswith("sb3_contrib"):
        pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    quick = {**SMALL, "warm-start.learning_rate": 3e-3, "warm-start.batch_size": 12}
    run = tiny(
        tmp_path / "run", algo=algo, hyperparameters=quick, timesteps=1, max_saccades=1, n_envs=32,
        warm_start="knows", warm_start_steps=1500, eval_every=1000, eval_share=0.2,
    )  # fmt: skip
    train(run, lambda name: _Knows())
    start = pd.read_csv(run.out / "evaluations.csv").iloc[0]
    assert start["accuracy_at_01"] > (0.15 if algo == "recurrent-ppo" else 0.6)


class _Knows:
    """Looks at the brightest token."""

    name, sees_full_image = "knows", True

    def reset(self, images: Tensor) -> None:
        self.fixation = SeesBright().begin(images).amax(-1).argmax(-1)

    def act(self, view: Any) -> Tensor:
        return self.fixation


def test_later_rounds_are_along_scanpaths_of_the_student(tmp_path: Path) -> None:
    """And the teacher answers all the same (DAgger); the first are along its own."""
    run = tiny(
        tmp_path / "run", algo="ppo", timesteps=0, warm_start="knows", warm_start_steps=96,
        hyperparameters={**QUICK, "warm-start.rounds": 2, "warm-start.n_epochs": 1},
    )  # fmt: skip
    train(run, lambda name: _Knows())
    paths = sorted((run.out / "demonstrations").glob("*.npz"))
    assert len(paths) == 8, "of four rows of three saccades"
    follows = []
    for path in paths:
        seen = read(path, ["fixation"])
        assert seen.asked.all()
        looked = seen.observations["fixation"][:, 1:] @ [GRID[1], 1]
        follows.append(float((looked == seen.gains.argmax(-1)[:, :-1]).mean()))
    assert follows[:4] == [1.0] * 4
    assert max(follows[4:]) < 0.5
    curve = pd.read_csv(run.out / "imitation.csv")
    assert list(curve) == ["round", "epoch", "loss", "held_back"]
    assert curve[["round", "epoch"]].to_numpy().tolist() == [[1, 0], [2, 0]]
    assert curve["held_back"].notna().all()
    table = pd.read_csv(run.out / "evaluations.csv")
    assert table["timesteps"].tolist() == [0], "no more than the warm start"
    assert (run.out / "best.zip").exists()
    card = json.loads((run.out / "card.json").read_text())
    assert (card["steps"], card["demonstrations"]["rounds"]) == (0, 2)


@pytest.mark.slow
def test_a_training_with_an_eye_resumes_exactly(sample: Any, tmp_path: Path) -> None:
    judge = small_cnn(classes=1000)
    changes: dict[str, Any] = {
        "algo": "ppo", "images": sample, "classifier": judge, "fovea": 3, "n_envs": 2,
        "eye": "image", "eye_shows": ("activation", "glimpses"), "periphery": 0, "eval_share": 0.3,
        "timesteps": 16, "eval_every": 8, "save_every": 8,
        "hyperparameters": {**QUICK, "network.embedding": 0, "learning_rate": 1e-3},
    }  # fmt: skip
    whole, parts = (tiny(tmp_path / name, **changes) for name in ("whole", "parts"))
    train(whole)
    train(replace(parts, timesteps=8))
    train(parts, resume=True)
    assert_same_end(whole.out, parts.out)
    described = {"classifier": "small", "sees": "image", "shows": ["activation", "glimpses"]}
    card = json.loads((parts.out / "card.json").read_text())
    assert card["observation"] == {"periphery": 0, "prior": None, "belief": 0, "eye": described}


@pytest.mark.slow
def test_another_classifiers_eye_is_not_in_the_checkpoint(sample: Any, tmp_path: Path) -> None:
    run = tiny(
        tmp_path / "run", algo="ppo", images=sample, classifier=small_cnn(classes=1000), n_envs=2,
        eye=64, eye_classifier="efficientnet_lite0", eval_share=0.3, timesteps=8, save_every=8,
        eval_every=8,
    )  # fmt: skip
    train(run)
    assert (run.out / checkpoint.CHECKPOINT).stat().st_size < 15e6, "the network alone has 18"
    train(replace(run, timesteps=16), resume=True)
    written = export(run.out / "model.zip", tmp_path / "agent", trust=True)
    agent = AgentPolicy.load(written)
    assert agent.eye == "efficientnet_lite0 on 64: activation"
    assert not agent.sees_full_image


@pytest.mark.slow
def test_the_oracle_is_told_the_labels(tmp_path: Path) -> None:
    names: list[str] = []

    def make(name: str) -> Any:
        names.append(name)
        return policies.create(name, grid=GRID)

    train(tiny(tmp_path / "run", algo="ppo", warm_start="greedy-oracle", warm_start_steps=20), make)
    assert names == ["greedy-oracle"]
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["warm_start"]["sees_label"] is True


@pytest.mark.slow
def test_the_folder_says_what_was_done(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tiny(tmp_path / "run", algo="ppo", belief=True, prior="centre", saccade_cost=0.1)
    run = replace(run, classifier=_Classes(7))
    train(run, make_policy)
    card = json.loads((run.out / "card.json").read_text())
    assert card["observation"] == {
        "periphery": 12, "prior": "centre", "belief": 5, "eye": None,
    }  # fmt: skip
    assert (card["algo"], card["steps"], card["seed"]) == ("ppo", 64, 0)
    assert card["classifier"]["weights"]["sha256"] == "-"
    assert card["images"]["count"] == 86
    assert card["held_back"]["count"] == 10
    assert card["hyperparameters"]["algorithm"]["n_steps"] == 4
    assert card["config"]["saccade_cost"] == 0.1
    table = pd.read_csv(run.out / "evaluations.csv")
    assert table["timesteps"].tolist() == [0, 16, 32, 48, 64]
    assert card["evaluation"]["accuracy"] == pytest.approx(table["accuracy"].iloc[-1])
    assert (run.out / "best.zip").exists()
    events = EventAccumulator(str(run.out / "tensorboard"), {"images": 0}).Reload()
    expected = {"eval/reward", "eval/certainty", "eval/accuracy_at_03", "eval/visible_share"}
    assert expected < set(events.Tags()["scalars"])
    assert [image.step for image in events.Images("eval/scanpath")] == [0, 16, 32, 48, 64]


class _Classes(SeesBright):
    """Has more classes than there are colours, as five are believed in."""

    def __init__(self, classes: int) -> None:
        self.num_classes = classes

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        logits, memory = super().classify(memory, revealed)
        return torch.cat((logits, torch.zeros(len(logits), self.num_classes - CLASSES)), 1), memory


def test_a_used_folder_and_another_training_are_refused(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run", algo="ppo", timesteps=16)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train(run, resume=True)
    train(run)
    with pytest.raises(FileExistsError, match="go on with that training by --resume"):
        train(run)
    with pytest.raises(ValueError, match="another seed: 0, not 1"):
        train(replace(run, seed=1), resume=True)
    train(replace(run, timesteps=32), resume=True)
    assert pd.read_csv(run.out / "evaluations.csv")["timesteps"].tolist() == [0, 16, 32]


@pytest.mark.slow
def test_the_command_line_trains_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--images", "sample", "--classifier", "efficientnet_lite0", "--saccades", "2"]
    arguments = [
        "train", *common, "--algo", "ppo", "--timesteps", "8", "--n-envs", "2", "--out", "agent",
        "--set", "n_steps=4", "--set", "batch_size=8", "--set", "network.channels=8",
        "--periphery", "8", "--prior", "centre",
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(cli.app, arguments)
    assert again.exit_code == 1
    assert "agent is not empty" in again.output
    more = CliRunner().invoke(cli.app, [*arguments, "--timesteps", "16", "--resume"])
    assert more.exit_code == 0, more.output
    assert json.loads(Path("agent/card.json").read_text())["steps"] == 16
    tried = CliRunner().invoke(
        cli.app,
        ["evaluate", *common, "--policy", "sb3:agent", "--policy", "centre", "--out", "out"],
    )
    assert tried.exit_code == 0, tried.output
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["policies"]["sb3:agent"]["weights"]["sha256"]
    wrong = CliRunner().invoke(cli.app, ["evaluate", *common, "--policy", "sb3:agent:stop=true"])
    assert "Did you mean 'stops'" in wrong.output
