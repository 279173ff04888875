"""Trained agents as policies: what they observe, and where they look."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agents import (
    OBSERVED,
    ROWS,
    Prior,
    bare,
    build_env,
    build_model,
    make_prior,
    save_sb3,
    small_agent,
)

from saccade_env import (
    BeliefObservation,
    PeripheryObservation,
    SaccadeVectorEnv,
    SaliencyObservation,
    core,
)
from saccade_env.agents import AgentPolicy
from saccade_env.agents.net import TEMPERATURE
from saccade_env.agents.observation import Observing
from saccade_env.agents.sb3_zip import load_sb3
from saccade_env.evaluation.rollout import rollout
from saccade_env.testing import check_policy

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")


@pytest.mark.parametrize("algo", ["maskable-ppo", "recurrent-ppo"])
def test_the_policy_does_what_sb3_predicts(
    linear: Any, sample: Any, tmp_path: Path, algo: str
) -> None:
    env = build_env(linear, sample, max_saccades=6)
    model = build_model(algo, env, steps=24)
    agent = load_sb3(save_sb3(model, tmp_path / "run", algo), make_prior=make_prior, trust=True)
    observation, _ = env.reset(seed=5)
    agent.reset(env.unwrapped.images)
    state: Any = None
    for step in range(5):
        fixation = agent.act(env.unwrapped.view).numpy()
        if algo == "maskable-ppo":
            masks = {"action_masks": env.action_masks()}
            action, _ = model.predict(observation, deterministic=True, **masks)
        else:
            starts = np.full(ROWS, step == 0)
            action, state = model.predict(observation, state, starts, deterministic=True)
        allowed = env.action_masks()[np.arange(ROWS), action]
        assert (fixation == action)[allowed].all()
        observation = env.step(action)[0]
    assert agent.name == "run"


def test_an_lstm_remembers_until_it_is_reset(linear: Any, sample: Any, tmp_path: Path) -> None:
    env = build_env(linear, sample)
    run = save_sb3(build_model("recurrent-ppo", env), tmp_path / "run", "recurrent-ppo")
    agent = load_sb3(run, make_prior=make_prior, trust=True)
    env.reset(seed=0)
    logits = []
    for fresh in (True, False, True):
        if fresh:
            agent.reset(env.unwrapped.images)
        view = env.unwrapped.view
        logits.append(agent.logits(view._replace(certainty=view.certainty.clone())))
    assert torch.equal(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])
    with pytest.raises(ValueError, match=r"knows only the grid \(14, 14\); got \(16, 16\)"):
        load_sb3(run, (16, 16), partial(make_prior, grid=(16, 16)), trust=True)
    check_policy(agent, classifier=linear, config=core.SaccadeConfig(max_saccades=3))


@pytest.mark.parametrize(
    "observed", [OBSERVED, {**OBSERVED, "belief": 0}, {"periphery": 0, "prior": None, "belief": 3}]
)
def test_it_observes_what_the_environment_shows(
    linear: Any, sample: Any, observed: dict[str, Any]
) -> None:
    env: Any = SaccadeVectorEnv(ROWS, images=sample, classifier=linear, max_saccades=4, workers=0)
    prior = Prior((14, 14)) if observed["prior"] else None
    observing = Observing((14, 14), 16, observed["periphery"], prior, observed["belief"])
    env = PeripheryObservation(env, observed["periphery"]) if observed["periphery"] else env
    env = SaliencyObservation(env, prior) if prior else env
    env = BeliefObservation(env, observed["belief"]) if observed["belief"] else env
    assert observing.space(4) == env.single_observation_space
    shown, _ = env.reset(seed=3)
    observing.begin(env.unwrapped.images)
    for action in (0, 17, 100):
        mine = observing(env.unwrapped.view)
        assert mine.keys() == shown.keys()
        for key, value in shown.items():
            np.testing.assert_array_equal(mine[key], value, err_msg=key)
            assert mine[key].dtype == value.dtype, key
        shown = env.step(np.full(ROWS, action))[0]


def test_it_keeps_the_contract_of_policies(linear: Any) -> None:
    check_policy(small_agent(), classifier=linear, config=core.SaccadeConfig(max_saccades=3))


def test_another_budget_counts_as_shares(linear: Any, sample: Any) -> None:
    images = torch.stack([sample[0].image])
    labels = torch.zeros(1, dtype=torch.long)
    logits = []
    for budget in (4, 8):  # the network was made for 4
        state = core.begin(images, labels, labels, core.SaccadeConfig(max_saccades=budget), linear)
        agent = small_agent()
        agent.reset(images)
        logits.append(agent.logits(core.view(state)))
    torch.testing.assert_close(*logits)


def test_stopping_must_be_asked_for(linear: Any, sample: Any) -> None:
    images = torch.stack([sample[0].image])
    make = partial(AgentPolicy, observing=Observing((14, 14), 16, 16, Prior((14, 14)), 5))
    config = core.SaccadeConfig(max_saccades=3, stop_action=True)
    state = core.begin(images, torch.zeros(1).long(), torch.zeros(1).long(), config, linear)
    for stops in (False, True):
        agent = make(net=bare(stop_action=True), stops=stops)
        agent.reset(images)
        assert (int(agent.act(core.view(state))) == 196) is stops


def test_inhibited_cells_are_never_chosen(linear: Any, sample: Any) -> None:
    agent = small_agent()
    images = torch.stack([sample[0].image, sample[1].image])
    config = core.SaccadeConfig(max_saccades=30, fovea=5)
    labels = torch.zeros(2, dtype=torch.long)
    share = rollout(images, labels, agent, config, linear).visible_share
    new = np.diff(share, axis=1, prepend=0) > 0
    assert (new | (share == 1)).all()


def test_what_it_expects_is_told_in_nats(linear: Any, sample: Any) -> None:
    agent, images = small_agent(), torch.stack([sample[0].image, sample[1].image])
    config, numbers = core.SaccadeConfig(max_saccades=3), torch.arange(2)
    state = core.begin(images, numbers, numbers, config, linear)
    agent.reset(images)
    best = agent.act(core.view(state))
    state, _ = core.saccade(state, best, config, linear)
    view = core.view(state)
    expected = TEMPERATURE * agent.logits(view)[numbers, agent.act(view)]
    torch.testing.assert_close(agent.predicted_gain(view), expected)
    everywhere = TEMPERATURE * agent.logits(view).amax(1)
    assert (expected < everywhere).any(), "of closed cells nothing is expected"


def test_weights_that_are_not_finite_never_choose(linear: Any, sample: Any) -> None:
    agent, images = small_agent(name="broken"), torch.stack([sample[0].image, sample[1].image])
    agent._net.cell.bias.data.fill_(torch.nan)
    with pytest.raises(
        FloatingPointError, match=r"agent 'broken' gave NaN or inf in rows \[0, 1\]"
    ):
        rollout(images, torch.zeros(2).long(), agent, core.SaccadeConfig(), linear)


def test_no_more_classes_are_believed_in_than_there_are(make_linear: Any, sample: Any) -> None:
    with pytest.raises(ValueError, match="5 class probabilities .* has 4 classes"):
        rollout(sample[0].image[None], torch.zeros(1).long(), small_agent(), core.SaccadeConfig(),
                make_linear(num_classes=4))  # fmt: skip


def test_pictures_and_views_must_fit(linear: Any, sample: Any) -> None:
    agent = small_agent()
    images = torch.stack([sample[0].image])
    state = core.begin(
        images, torch.zeros(1).long(), torch.zeros(1).long(), core.SaccadeConfig(), linear
    )
    with pytest.raises(RuntimeError, match="begin"):
        agent.act(core.view(state))
    with pytest.raises(ValueError, match=r"224×224.*got 112×224"):
        agent.reset(images[:, :, :112])
    agent.reset(torch.cat((images, images)))
    with pytest.raises(ValueError, match="of 2 episodes"):
        agent.act(core.view(state))
    with pytest.raises(TypeError, match="saliency"):
        Observing((14, 14), 16, prior=object())
