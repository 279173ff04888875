"""What a training says and leaves behind when it does not run its course."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_trainings
import torch
from small_cnns import small_cnn
from typer.testing import CliRunner

from saccade_env import cli, images, policies
from saccade_env.agents import checkpoint, hyperparameters
from saccade_env.agents.sb3_zip import export
from saccade_env.agents.train import Settings, train
from saccade_env.policies import simple

pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
SMALL = {"network.channels": 8, "network.blocks": 1}
QUICK = {"n_steps": 4, "batch_size": 8, "n_epochs": 1, **SMALL}


def tiny(out: Path, images: Any, classifier: Any, **changes: Any) -> Settings:
    """On real pictures."""
    given: dict[str, Any] = {
        "algo": "ppo", "fovea": 3, "max_saccades": 2, "periphery": 8, "n_envs": 2, "timesteps": 8,
        "eval_every": 10_000, "save_every": 10_000, "eval_share": 0.3, "hyperparameters": QUICK,
        "reward": "certainty_gain", **changes,
    }  # fmt: skip
    return small_trainings.tiny(out, images=images, classifier=classifier, **given)


class _Interrupted:
    """A teacher during whose lesson Ctrl-C is pressed, after some saccades."""

    name, sees_full_image = "interrupted", False

    def __init__(self, after: int = 0) -> None:
        self._left = after

    def reset(self, images: torch.Tensor) -> None: ...

    def act(self, view: Any) -> torch.Tensor:
        self._left -= 1
        if self._left < 0:
            signal.raise_signal(signal.SIGINT)
        return torch.arange(len(view.revealed)) + view.saccades_done


@pytest.mark.slow
def test_a_warm_start_that_was_stopped_goes_on(tmp_path: Path, sample: Any, linear: Any) -> None:
    """In the second of two rounds (DAgger), along scanpaths of what the first has taught."""
    given = {"warm_start": "teacher", "warm_start_steps": 16, "timesteps": 0,
             "hyperparameters": {**QUICK, "warm-start.rounds": 2}}  # fmt: skip
    run = tiny(tmp_path / "run", sample, linear, **given)
    with pytest.raises(KeyboardInterrupt):
        train(run, lambda name: _Interrupted(after=8))  # 2 answers on what is held back, 2 a round
    kept = [path.name for path in sorted((run.out / "demonstrations").glob("*.npz"))]
    assert kept == ["00000.npz", "00001.npz", "00002.npz"], "each of two saccades of two rows"
    whole = tiny(tmp_path / "whole", sample, linear, **given)
    for one in (run, whole):
        train(one, lambda name: _Interrupted(after=100))
    for name in ("imitation.csv", "evaluations.csv"):
        assert (run.out / name).read_text() == (whole.out / name).read_text()
    for key, value in small_trainings.weights(run.out).items():
        assert torch.equal(value, small_trainings.weights(whole.out)[key]), key


def test_demonstrations_are_shared_by_trainings_that_observe_less(
    tmp_path: Path, sample: Any, linear: Any
) -> None:
    folder = tmp_path / "demonstrations"
    common = {"warm_start": "centre", "warm_start_steps": 8, "demonstrations": folder}
    train(tiny(tmp_path / "more", sample, linear, prior="centre", **common), policies.create)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    train(tiny(tmp_path / "less", sample, linear, **common), policies.create)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(ValueError, match="observed may only be less"):
        train(tiny(tmp_path / "a", sample, linear, prior="random", **common), policies.create)
    changed = {**common, "warm_start": "random"}
    with pytest.raises(ValueError, match="holds demonstrations with another warm_start"):
        train(tiny(tmp_path / "b", sample, linear, **changed), policies.create)


def test_the_command_does_not_promise_what_it_has_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple.RandomPolicy, "act", _Interrupted().act)
    arguments = [
        "train", "--images", "sample", "--classifier", "efficientnet_lite0", "--algo", "ppo",
        "--warm-start", "random", "--out", str(tmp_path / "o"),
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 130
    assert "the same command, without --resume" in done.output
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
    given = hyperparameters.parse_settings(["policy_kwargs={lstm_hidden_size: 16}"])
    run = tiny(tmp_path / "run", sample, linear, algo="recurrent-ppo",
               hyperparameters={**QUICK, **given})  # fmt: skip
    train(run)
    kept = checkpoint.read(run.out / checkpoint.CHECKPOINT)
    assert kept["parameters"]["policy"]["lstm_actor.weight_hh_l0"].shape == (64, 16)
    assert kept["card"]["hyperparameters"]["algorithm"]["policy_kwargs"] == {"lstm_hidden_size": 16}
    train(run, resume=True)
    with pytest.raises(ValueError, match="unknown hyperparameter '_init_setup_model'"):
        hyperparameters.hyperparameters("ppo", {"_init_setup_model": False})


def test_a_name_in_a_file_loads_no_pickle(
    tmp_path: Path, sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prior of an agent's description is one of the fixed policies, and nothing else."""
    monkeypatch.chdir(tmp_path)
    run = tiny(tmp_path / "run", sample, linear, prior="centre")
    train(run, policies.create)
    export(run.out / "best.zip", tmp_path / "agent", trust=True)
    path = tmp_path / "agent" / "agent.json"
    path.write_text(path.read_text().replace('"centre"', '"run"'))
    arguments = ["evaluate", "--images", "sample", "--classifier", "efficientnet_lite0",
                 "--policy", "agent", "--saccades", "1"]  # fmt: skip
    monkeypatch.setattr("saccade_env.agents.sb3_zip.load_sb3", lambda *_: pytest.fail("read"))
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "unknown policy 'run'" in done.output


def test_the_card_of_the_best_tells_of_the_best(tmp_path: Path, sample: Any, linear: Any) -> None:
    run = tiny(tmp_path / "run", sample, linear, eval_every=4)
    train(run, policies.create)
    card_path = run.out / "card.json"
    card = json.loads(card_path.read_text())
    card["best"] = {**card["best"], "timesteps": 4}
    card_path.write_text(json.dumps(card))
    for name, steps in (("best.zip", 4), ("model.zip", 8)):
        export(run.out / name, tmp_path / name, trust=True)
        described = json.loads((tmp_path / name / "agent.json").read_text())
        assert described["card"]["steps"] == steps


def test_what_is_wrong_is_known_before_the_lesson(tmp_path: Path, sample: Any, linear: Any) -> None:
    common = {"warm_start": "centre", "warm_start_steps": 4}
    (tmp_path / "unlabelled").mkdir()
    picture = next(Path(images.__file__).parent.rglob("*.jpg"))
    (tmp_path / "unlabelled" / "a.jpg").write_bytes(picture.read_bytes())
    run = tiny(tmp_path / "run", sample, linear, reward="correct", **common)
    with pytest.raises(ValueError, match="needs labelled images"):
        train(replace(run, eval_images=str(tmp_path / "unlabelled")), policies.create)
    train(run, policies.create)
    with pytest.raises(ValueError, match="demonstrations are of a warm start"):
        tiny(tmp_path, sample, linear, demonstrations=tmp_path)
    blind = tiny(tmp_path / "blind", sample, linear, eye=64, **common)
    with pytest.raises(ValueError, match="cannot observe that: .*no class activation map"):
        train(blind, policies.create)
    with pytest.raises(ValueError, match="pixels ≥ 1; got 'picture'"):
        train(replace(blind, classifier=small_cnn(classes=1000), eye="picture"), policies.create)
    assert not blind.out.exists()


@pytest.mark.parametrize("algo", ["ppo", pytest.param("dqn", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_training_that_diverges_saves_nothing_more(
    tmp_path: Path, sample: Any, linear: Any, algo: str
) -> None:
    quick = {"learning_starts": 4, "batch_size": 8, "buffer_size": 100, "train_freq": 2,
             **SMALL} if algo == "dqn" else QUICK  # fmt: skip
    run = tiny(tmp_path / "run", sample, linear, algo=algo, hyperparameters=quick, save_every=1,
               eval_every=1, timesteps=16)  # fmt: skip
    train(run)
    good = {path: path.read_bytes() for path in run.out.iterdir() if path.is_file()}
    more = replace(run, timesteps=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", _diverge)
        with pytest.raises(FloatingPointError, match=r"diverged: at timestep \d+ '.*' holds NaN"):
            train(more, resume=True)
    for path, content in good.items():
        if path.suffix in (".zip", ".pt"):
            kept = checkpoint.read(path) if path.suffix == ".pt" else None
            assert kept is None or kept["fields"]["num_timesteps"] < 64
            assert path.read_bytes() == content, path
    train(more, resume=True)
    assert json.loads((run.out / "card.json").read_text())["steps"] == 64


def _diverge(optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data.fill_(torch.nan)


def test_a_lesson_that_diverges_saves_nothing(
    tmp_path: Path, sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", _diverge)
    run = tiny(tmp_path / "run", sample, linear, warm_start="centre", warm_start_steps=4)
    with pytest.raises(FloatingPointError, match="diverged: at timestep 0"):
        train(run, policies.create)
    assert not (run.out / "model.zip").exists()


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_damaged_checkpoint_is_one_message(
    tmp_path: Path, sample: Any, linear: Any, keep: float
) -> None:
    run = tiny(tmp_path / "run", sample, linear)
    train(run)
    path = run.out / checkpoint.CHECKPOINT
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"checkpoint.pt is damaged.*Begin one in another folder"):
        train(run, resume=True)
    torch.save({"card": {}}, path)
    with pytest.raises(ValueError, match=r"checkpoint.pt is damaged"):
        train(run, resume=True)


def test_the_table_comes_from_the_checkpoint(tmp_path: Path, sample: Any, linear: Any) -> None:
    run = tiny(tmp_path / "run", sample, linear, eval_every=4)
    train(run)
    table = run.out / "evaluations.csv"
    whole = table.read_text()
    for damaged in ("", whole[: len(whole) // 2], "\0\0", "a,b\n1,2\n"):
        table.write_text(damaged)
        train(run, resume=True)
        assert table.read_text() == whole
