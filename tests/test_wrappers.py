"""Other observations show what they say, and belong to the right picture."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FilterObservation, FlattenObservation

from saccade_env import (
    BeliefObservation,
    ImageObservation,
    PeripheryObservation,
    SaccadeEnv,
    SaccadeVectorEnv,
    SaliencyObservation,
    policies,
)
from saccade_env.observe.observers import Belief, Image, Periphery, Saliency
from saccade_env.testing import check_observer


def test_image_shows_revealed_pixels_and_neutral_grey(linear: Any) -> None:
    env = ImageObservation(SaccadeEnv("sample", linear))
    observation, _ = env.reset(options={"index": 1})
    assert (observation == 127).all()
    observation, *_ = env.step(3 * 14 + 4)
    pixels = env.unwrapped.images[0].permute(1, 2, 0).numpy()
    assert np.array_equal(observation[32:80, 48:96], pixels[32:80, 48:96])
    observation[32:80, 48:96] = 127
    assert (observation == 127).all()


def test_periphery_is_the_whole_picture_small(linear: Any) -> None:
    env = PeripheryObservation(SaccadeEnv("sample", linear), size=7)
    observation, _ = env.reset(options={"index": 0})
    pixels = env.unwrapped.images[0].permute(1, 2, 0).double().numpy()
    blocks = pixels.reshape(7, 32, 7, 32, 3).mean((1, 3))
    assert np.abs(observation["periphery"] - blocks).max() <= 0.5 + 1e-3
    assert "tokens" in observation
    with pytest.raises(ValueError, match="size must be ≥ 1"):
        PeripheryObservation(SaccadeEnv("sample", linear), size=0)


def test_what_a_wrapper_cannot_go_around_is_refused(linear: Any) -> None:
    env = SaccadeEnv("sample", linear)
    without = FilterObservation(env, ["revealed", "fixation"])
    with pytest.raises(ValueError, match=r"ImageObservation needs a Dict with \['tokens'\] as"):
        ImageObservation(without)
    assert "periphery" in PeripheryObservation(without).reset(seed=0)[0]
    with pytest.raises(ValueError, match="PeripheryObservation needs a Dict"):
        PeripheryObservation(FlattenObservation(env))
    with pytest.raises(TypeError, match=r"as in SyncVectorEnv\(\[lambda: BeliefObservation\("):
        BeliefObservation(SyncVectorEnv([lambda: SaccadeEnv("sample", linear)]))
    with pytest.raises(TypeError, match="BeliefObservation goes around a SaccadeEnv; got"):
        BeliefObservation(gym.make("CartPole-v1"))


def test_saliency_is_the_policys_map_scaled(linear: Any) -> None:
    policy = policies.create("centre")
    env = SaliencyObservation(SaccadeEnv("sample", linear), policy)
    observation, _ = env.reset(seed=0)
    saliency = observation["saliency"]
    assert saliency.shape == (14, 14)
    assert saliency.max() == pytest.approx(1)
    assert saliency.min() == 0
    assert saliency[6, 6] == saliency.max()
    with pytest.raises(TypeError, match="has no saliency_map"):
        SaliencyObservation(SaccadeEnv("sample", linear), "centre")


def test_final_observations_keep_their_own_picture(linear: Any) -> None:
    env = PeripheryObservation(
        SaccadeVectorEnv(4, images="sample", classifier=linear, max_saccades=1), size=8
    )
    before, _ = env.reset(seed=3)
    after, _, terminated, _, infos = env.step(np.arange(4))
    assert terminated.all()
    for row in range(4):
        final = infos["final_obs"][row]["periphery"]
        assert np.array_equal(final, before["periphery"][row])
    assert not np.array_equal(after["periphery"], before["periphery"])


@pytest.mark.parametrize("observer", [Image((14, 14), 16), Belief(5)])
def test_what_shows_nothing_hidden_keeps_the_contract(observer: Any) -> None:
    check_observer(observer)


@pytest.mark.parametrize("observer", [Periphery(8), Saliency(policies.create("centre"), (14, 14))])
def test_what_shows_more_keeps_the_contract(observer: Any) -> None:
    check_observer(observer, may_depend_on_hidden=True)


def test_belief_is_what_the_classifier_says_at_every_step(linear: Any) -> None:
    env = BeliefObservation(SaccadeEnv("sample", linear), top=3)
    before, _ = env.reset(options={"index": 0})
    after, *_, info = env.step(60)
    p = np.sort(torch.softmax(env.unwrapped.view.logits[0].double(), -1).numpy())[::-1]
    expected = [info["certainty"], p[0] - p[1], *p[:3]]
    np.testing.assert_allclose(after["belief"], expected, atol=1e-6)
    assert env.observation_space.contains(after)
    assert not np.allclose(before["belief"], after["belief"])
    for top in (0, 1001):
        with pytest.raises(ValueError, match="top must be ≥ 1 and ≤ 1000 classes; got"):
            BeliefObservation(SaccadeEnv("sample", linear), top=top)


def test_belief_of_a_vector_env_equals_that_of_single_ones(linear: Any) -> None:
    task = {"classifier": linear, "max_saccades": 3, "stop_action": True}

    def single() -> Any:
        return PeripheryObservation(BeliefObservation(SaccadeEnv("sample", **task)), size=4)

    native = PeripheryObservation(
        BeliefObservation(SaccadeVectorEnv(3, images="sample", **task)), size=4
    )
    sync = SyncVectorEnv([single] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    left, right = native.reset(seed=4)[0], sync.reset(seed=4)[0]
    with pytest.raises(ResetNeeded, match="no step since reset"):
        _ = native.unwrapped.stepped
    generator, finals = np.random.default_rng(0), 0
    for _ in range(8):
        np.testing.assert_allclose(left["belief"], right["belief"], atol=1e-6)
        actions = np.where(generator.random(3) < 0.3, 196, generator.integers(0, 196, 3))
        left, *_, ended, _, mine = native.step(actions)
        right, *_, theirs = sync.step(actions)
        for row in np.flatnonzero(ended):
            final, other = mine["final_obs"][row], theirs["final_obs"][row]
            np.testing.assert_allclose(final["belief"], other["belief"], atol=1e-6)
            finals += not np.allclose(final["belief"], left["belief"][row])
    assert finals > 4, "what episodes ended on is not what the next ones begin with"
