"""Small networks and models on them, and a prior that costs nothing: for the tests of agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import DQN, PPO

from saccade_env import (
    BeliefObservation,
    PeripheryObservation,
    SaccadeVectorEnv,
    SaliencyObservation,
    core,
)
from saccade_env.agents import AgentPolicy, SB3VecEnv, TokenGridNet
from saccade_env.agents.observation import Observing
from saccade_env.agents.sb3_policies import Sb3Network, policy_class
from saccade_env.agents.sb3_zip import CARD, MODEL

ROWS = 3
SMALL = {"features_extractor_kwargs": {"channels": 16, "blocks": 2}}
OBSERVED = {"periphery": 16, "prior": "gbvs", "belief": 5, "eye": None}
ROLLOUT: dict[str, Any] = {"n_steps": 4, "batch_size": 6, "n_epochs": 1}
OFF_POLICY: dict[str, Any] = {"learning_starts": 3, "buffer_size": 20, "batch_size": 4}


class Prior:
    """A map that depends on the picture, and costs nothing."""

    name, sees_full_image = "gbvs", True

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid

    def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1), self.grid)

    maps = saliency_map

    def reset(self, images: torch.Tensor) -> None: ...

    def act(self, view: core.View) -> torch.Tensor:
        raise NotImplementedError


def make_prior(name: str, grid: tuple[int, int] = (14, 14)) -> Prior:
    assert name == "gbvs"
    return Prior(grid)


def build_env(classifier: Any, sample: Any, rows: int = ROWS, **task: Any) -> Any:
    task = {"max_saccades": 4, "workers": 0, **task}
    env: Any = SaccadeVectorEnv(rows, images=sample, classifier=classifier, **task)
    env = PeripheryObservation(env, OBSERVED["periphery"])
    return BeliefObservation(SaliencyObservation(env, Prior(classifier.grid)), OBSERVED["belief"])


def algorithm(algo: str) -> tuple[Any, dict[str, Any]]:
    if algo in ("ppo", "dqn"):
        return {"ppo": (PPO, ROLLOUT), "dqn": (DQN, OFF_POLICY)}[algo]
    contrib = pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    return getattr(contrib, {"maskable-ppo": "MaskablePPO"}.get(algo, "RecurrentPPO")), ROLLOUT


def build_model(algo: str, env: Any, steps: int = 0) -> Any:
    make, keywords = algorithm(algo)
    policy, policy_kwargs = policy_class(algo)
    more = {"lstm_hidden_size": 16} if algo == "recurrent-ppo" else {}
    policy_kwargs = {**policy_kwargs, **SMALL, **more}
    model = make(policy, SB3VecEnv(env), policy_kwargs=policy_kwargs, seed=0, **keywords)
    if algo != "recurrent-ppo":
        excite(Sb3Network(model).net)
    return model.learn(steps) if steps else model


def excite(net: TokenGridNet) -> TokenGridNet:
    """Logits that differ visibly, as after training, and a net that stops by preference."""
    torch.manual_seed(1)
    torch.nn.init.normal_(net.cell.weight)
    if net.stop is not None:
        torch.nn.init.constant_(net.stop.bias, 20.0)
    return net


def bare(grid: tuple[int, int] = (14, 14), patch: int = 16, **keywords: Any) -> TokenGridNet:
    torch.manual_seed(0)
    space = Observing(grid, patch, 16, Prior(grid), 5).space(4)
    return excite(TokenGridNet(space, 16, 2, **keywords)).eval()


def save_sb3(model: Any, folder: Path, algo: str, **card: Any) -> Path:
    folder.mkdir(exist_ok=True)
    model.save(folder / MODEL)
    (folder / CARD).write_text(json.dumps({"algo": algo, "observation": OBSERVED, **card}))
    return folder


def small_agent(**keywords: Any) -> AgentPolicy:
    return AgentPolicy(bare(), Observing((14, 14), 16, 16, Prior((14, 14)), 5), **keywords)
