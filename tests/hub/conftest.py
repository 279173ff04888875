"""A Hub of one's own, a cache of one's own, and an agent and an evaluation that cost nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_hub
import pytest
import torch
from huggingface_hub import close_session, constants
from typer.testing import CliRunner

from saccade_env import cli, evaluation
from saccade_env.agents import AgentPolicy, TokenGridNet, files
from saccade_env.agents.observation import Observing
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import plan


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_hub.FakeHub]:
    """A server, and a client that knows its token and may use the network, to this server alone."""
    with fake_hub.serving() as served:
        point_to(served.endpoint, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield served
        close_session()


def point_to(endpoint: str, patch: pytest.MonkeyPatch) -> None:
    """What the client makes of $HF_ENDPOINT when it is imported."""
    patch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on on another machine: its cache is empty."""

    def move() -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "another cache"))

    return move


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The folder of an untrained agent."""
    return save(tmp_path / "seer", 1)


def save(folder: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = TokenGridNet(Observing((14, 14), 16, 16, None, 5).space(4), 8, 0)
        torch.nn.init.normal_(net.cell.weight)
    observation = {"periphery": 16, "prior": None, "belief": 5, "eye": None}
    card = {"algo": "ppo", "seed": seed, "reward": "correct", "images": {"count": 7, "name": "few"}}
    return files.save_agent(net, folder, "seer", observation, card)


@pytest.fixture(scope="session")
def evaluated_once(tmp_path_factory: Any, linear: Any, sample: Any) -> Path:
    """An evaluation of the agent, with a film that shows the pictures; figures are not drawn."""
    home = tmp_path_factory.mktemp("evaluated")
    own = {"mine": AgentPolicy.load(save(home / "seer", 1))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_draw", lambda *_: None)
        evaluate(own, linear, sample, home / "records", files=["scanpath-mine.gif"])
    for name in (*plan.FIGURES, "figures/mine.png", "mine.jpg", "scanpath-mine.gif"):
        (home / "records" / name).parent.mkdir(exist_ok=True)
        (home / "records" / name).write_bytes(b"drawn: " + name.encode())
    return home / "records"


@pytest.fixture
def evaluated(evaluated_once: Path, tmp_path: Path) -> Path:
    """The folder of an evaluation of the agent."""
    return shutil.copytree(evaluated_once, tmp_path / "records")


def evaluate(policies: Any, linear: Any, sample: Any, out: Path | None = None, **more: Any) -> Any:
    return evaluation.evaluate(
        policies, sample, linear, SaccadeConfig(max_saccades=3), limit=4, out=out, workers=0,
        progress=False, check_labels=False, **more,
    )  # fmt: skip


# The client's own, of httpx, when it sends a file.
SENDING = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def call(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [str(one) for one in arguments], terminal_width=100)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def push(run: Path, repo: str, *more: Any) -> str:
    code, output = call("push", run, "--repo", repo, *more)
    assert code == 0, output
    return output
