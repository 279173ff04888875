"""Stable-Baselines3 on the token grid: its logits are the network's, it learns and is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agents import ROWS, build_env, build_model
from stable_baselines3 import PPO
from stable_baselines3.common.utils import obs_as_tensor

from saccade_env import SaccadeVectorEnv
from saccade_env.agents import SB3VecEnv, TokenGridNet
from saccade_env.agents.sb3_policies import Sb3Network, policy_class

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")


@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo", "dqn"])
@pytest.mark.parametrize("stop", [False, True])
def test_sb3_gives_exactly_the_nets_logits(linear: Any, sample: Any, algo: str, stop: bool) -> None:
    env = build_env(linear, sample, stop_action=stop)
    model = build_model(algo, env)
    env.reset(seed=0)
    observation = env.step(np.array([5, 80, 195]))[0]
    net = TokenGridNet(env.single_observation_space, 16, 2, stop).eval()
    net.load_state_dict(Sb3Network(model).net.state_dict())
    with torch.no_grad():
        logits, value = net(obs_as_tensor(observation, "cpu"))
        given, _ = model.policy.obs_to_tensor(observation)
        if algo == "dqn":
            torch.testing.assert_close(model.policy.q_net(given), logits)
            return
        theirs = model.policy.get_distribution(given).distribution.logits
        torch.testing.assert_close(theirs, logits.log_softmax(1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.policy.predict_values(given)[:, 0], value)
        actions = logits.argmax(1)
        values, log_p, _ = model.policy.evaluate_actions(given, actions)
    torch.testing.assert_close(values[:, 0], value)
    torch.testing.assert_close(log_p, logits.log_softmax(1).amax(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo", "dqn", "recurrent-ppo"])
def test_it_learns_and_is_loaded_with_its_optimizer(
    linear: Any, sample: Any, tmp_path: Path, algo: str
) -> None:
    env = build_env(linear, sample)
    model = build_model(algo, env)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(24)
    after = list(model.policy.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", device="cpu")
    for mine, theirs in zip(after, loaded.policy.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    mine, theirs = (m.policy.optimizer.state_dict()["state"] for m in (model, loaded))
    assert mine
    assert all(torch.equal(mine[i]["exp_avg"], theirs[i]["exp_avg"]) for i in mine)


def test_maskable_ppo_on_the_largest_grid(make_linear: Any, sample: Any) -> None:
    env = build_env(make_linear(patch_size=8, num_classes=1000), sample)
    model = build_model("maskable-ppo", env)
    assert model.action_space.n == 784
    model.learn(24)
    assert model.num_timesteps >= 24


def test_other_actions_are_refused(linear: Any, sample: Any) -> None:
    with pytest.raises(ValueError, match="needs action='token'"):
        build_model("ppo", build_env(linear, sample, action="grid"))
    with pytest.raises(ValueError, match="Did you mean 'ppo'"):
        policy_class("pp0")


@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo", "dqn", "recurrent-ppo"])
def test_every_model_is_asked_in_one_way(linear: Any, sample: Any, algo: str) -> None:
    env = build_env(linear, sample, stop_action=True)
    model = build_model(algo, env)
    asked = Sb3Network(model)
    observation, _ = env.reset(seed=0)
    masks = {"action_masks": env.action_masks()} if algo == "maskable-ppo" else {}
    state: Any = None
    theirs: Any = None
    for _ in range(3):
        logits, state = asked.logits(observation, 4, state)
        assert logits.shape == (ROWS, 197)
        action, theirs = model.predict(observation, theirs, deterministic=True, **masks)
        open_ = torch.as_tensor(masks.get("action_masks", np.ones((ROWS, 197), bool)))
        assert (logits.masked_fill(~open_, -torch.inf).argmax(1).numpy() == action).all()
        observation = env.step(np.arange(ROWS) * 20)[0]
        masks = {"action_masks": env.action_masks()} if masks else {}
    assert asked.recurrent is (state is not None) is (algo == "recurrent-ppo")
    assert asked.stop_action


def test_models_on_other_policies_are_refused(linear: Any, sample: Any) -> None:
    env = SaccadeVectorEnv(2, images=sample, classifier=linear, workers=0)
    model = PPO("MultiInputPolicy", SB3VecEnv(env), n_steps=4, batch_size=6)
    with pytest.raises(TypeError, match="does not choose by"):
        Sb3Network(model)
