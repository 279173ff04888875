"""What is learnt from demonstrations: by hand, and on a teacher whose gains are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agents import Prior
from stable_baselines3 import PPO

from saccade_env import SaccadeVectorEnv, SaliencyObservation, core
from saccade_env.agents import SB3VecEnv, imitate
from saccade_env.agents.demonstrations import FAR, Demonstrations, read
from saccade_env.agents.net import TEMPERATURE
from saccade_env.agents.sb3_policies import Sb3Network, policy_class


class Tells:
    """Gains of a multiple of a map, of which a network sees the map; and no more than it sees."""

    name, sees_full_image = "tells", True

    def __init__(self, slope: float, least: float) -> None:
        self._slope, self._least, self._prior = slope, least, Prior((14, 14))

    def reset(self, images: torch.Tensor) -> None:
        maps = self._prior.maps(images)
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        self._gains = self._least + self._slope * (maps - low) / (high - low)

    def act(self, view: core.View) -> torch.Tensor:
        raise AssertionError("it is asked for its gains")

    def gains(self, view: core.View) -> torch.Tensor:
        return self._gains.masked_fill(view.revealed, torch.nan)


@pytest.fixture
def env(linear: Any, sample: Any) -> Any:
    env: Any = SaccadeVectorEnv(2, images=sample, classifier=linear, max_saccades=3, workers=0)
    return SaliencyObservation(env, Prior((14, 14)))


@pytest.fixture
def model(env: Any) -> Any:
    policy, keywords = policy_class("ppo")
    keywords["features_extractor_kwargs"] = {"channels": 8, "blocks": 0, "embedding": 0}
    return PPO(policy, SB3VecEnv(env), n_steps=4, batch_size=8, policy_kwargs=keywords, seed=0)


def shown(env: Any, folder: Path, teacher: Any, steps: int = 24) -> list[Path]:
    kept = Demonstrations(folder, {"observation": {}})
    return kept.collect(env, teacher, steps, lambda *_: (None, None), progress=False)


def learn(model: Any, paths: list[Path], **how: Any) -> Any:
    return imitate.imitate(model, paths, 3e-2, 6, n_epochs=12, progress=False, **how)


def expected_and_told(model: Any, paths: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    """Gains in nats, of all that was told."""
    pairs = []
    for path in paths:
        seen = read(path, list(model.observation_space.spaces))
        flat = {key: np.concatenate(value) for key, value in seen.observations.items()}
        with torch.no_grad():
            logits, _ = Sb3Network(model).logits(flat, 3)
        gains = torch.from_numpy(np.concatenate(seen.gains))
        pairs.append((TEMPERATURE * logits[gains.isfinite()], gains[gains.isfinite()]))
    expected, told = zip(*pairs, strict=True)
    return torch.cat(expected), torch.cat(told)


def test_losses_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 9.0], [5.0, 6.0, 7.0, 8.0]])
    gains = torch.tensor([[0.5, 1.0, 0.0, 0.0], [FAR, FAR, 0.0, FAR], [0.0, 0.0, 0.0, 0.0]])
    told = torch.ones(3, 4, dtype=torch.bool)
    told[0, 3], told[2] = False, False
    cross_entropy, distance = imitate._losses(logits, gains, told)
    wanted = np.exp([1.0, 2.0, 0.0])
    wanted /= wanted.sum()
    first = np.log(np.exp([1, 2, 3]).sum()) - (wanted * [1, 2, 3]).sum()
    second = np.log(3 + np.exp(9))
    assert float(cross_entropy) == pytest.approx((first + second + 0) / 3, rel=1e-5)
    differences = np.abs([0.5 - 0.5, 1.0 - 1.0, 1.5 - 0.0])
    smooth = np.where(differences < 1, differences**2 / 2, differences - 0.5)
    assert float(distance) == pytest.approx(smooth.mean()), "a choice alone is no gain"
    assert imitate._losses(logits[1:], gains[1:], told[1:])[1] == 0
    told[1, 2] = False
    closed, _ = imitate._losses(logits, gains, told)
    assert float(closed) == pytest.approx(first / 3, rel=1e-5), "nothing is learnt of the others"


def test_known_gains_are_learnt(env: Any, model: Any, tmp_path: Path) -> None:
    paths = shown(env, tmp_path, Tells(3.0, -1.0))
    before = [p.detach().clone() for p in model.policy.parameters()]
    curve = learn(model, paths, regression=1.0)
    assert list(curve) == ["loss", "held_back"]
    assert len(curve) == 12
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]
    assert curve["held_back"].isna().all()
    expected, told = expected_and_told(model, paths)
    assert told.std() > 0.5
    assert float((expected - told).abs().mean()) < 0.25, "in nats"
    for old, new in zip(before, model.policy.parameters(), strict=True):
        new.data.copy_(old)
    learn(model, paths, regression=0.0)
    expected, told = expected_and_told(model, paths)
    assert float((expected - told).abs().mean()) > 0.4, "cross-entropy knows no level"
    assert np.corrcoef(expected, told)[0, 1] > 0.9


def test_the_best_epoch_on_what_is_held_back_is_kept(env: Any, model: Any, tmp_path: Path) -> None:
    """Who learns from one teacher gets ever worse at its opposite."""
    paths = shown(env, tmp_path / "learnt", Tells(6.0, 0.0))
    opposite = shown(env, tmp_path / "held", Tells(-6.0, 0.0), steps=12)
    curve = learn(model, paths, held_back=opposite)
    assert curve["held_back"].iloc[-1] > curve["held_back"].min() + 0.5
    network = Sb3Network(model)
    learning = imitate._Learning(model, network, masked=False, regression=0.0)
    keys = list(model.observation_space.spaces)
    now = np.mean([value for path in opposite for value in learning.judged(read(path, keys))])
    assert now == pytest.approx(curve["held_back"].min(), rel=1e-5)
