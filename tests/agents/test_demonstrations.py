"""Demonstrations and what is learnt from them: by hand, and by loops of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade_env import (
    ActivationObservation,
    PeripheryObservation,
    SaccadeVectorEnv,
    classifiers,
    core,
    policies,
)
from saccade_env.agents import demonstrations, imitate
from saccade_env.agents.demonstrations import Demonstrations, Round
from saccade_env.agents.observation import Observing


def random_open(observation: Any, state: Any, starts: Any, masks: np.ndarray) -> Any:
    noise = torch.rand(masks.shape).numpy()
    return np.where(masks, noise, -1).argmax(1), None


def collect(env: Any, folder: Path, teacher: Any, asked: float, steps: int = 12) -> list[Round]:
    kept = Demonstrations(folder, {"observation": {}})
    paths = kept.collect(env, teacher, steps, random_open, asked, seed=3, progress=False)
    keys = list(env.single_observation_space.spaces)
    return [demonstrations.read(path, keys) for path in paths]


@pytest.fixture
def env(linear: Any, sample: Any) -> Any:
    return SaccadeVectorEnv(2, images=sample, classifier=linear, max_saccades=3)


def test_preferences_are_shares_of_the_labels_probability(env: Any) -> None:
    oracle = policies.create("greedy-oracle", stride=4)
    env.reset(seed=0)
    env.step(np.array([20, 100]))
    env.unwrapped.reset_policy(oracle)
    state, config = env.unwrapped._state, env.unwrapped.config
    found = oracle.preferences(env.unwrapped.view)
    assert torch.allclose(found.nansum((1, 2)), torch.ones(2).double())
    wanted = torch.full((2, 196), torch.nan).double()
    for token in oracle.scores(env.unwrapped.view)[0].isfinite().flatten().nonzero().flatten():
        after, _ = core.saccade(state, token.repeat(2), config, env.classifier)
        wanted[:, token] = core.true_class_probability(after).double()
    assert wanted.isfinite().sum() > 8
    wanted[state.inhibition.flatten(1)] = torch.nan
    wanted = wanted / wanted.nansum(1, keepdim=True)
    shared = found[0].flatten().isfinite()
    assert torch.allclose(found[0].flatten()[shared], wanted[0][shared], atol=1e-6)
    synonym = policies.create("greedy-oracle", stride=4, target="true_class_gain")
    best = policies.create("greedy-oracle", stride=4, target="correct")
    for policy in (synonym, best):
        env.unwrapped.reset_policy(policy)
    assert torch.equal(synonym.preferences(env.unwrapped.view).nan_to_num(), found.nan_to_num())
    assert (best.preferences(env.unwrapped.view).nan_to_num().flatten(1).amax(1) == 1).all()


def test_the_teacher_is_followed_where_it_is_asked(env: Any, tmp_path: Path) -> None:
    rounds = collect(env, tmp_path, policies.create("greedy-oracle", stride=5), 0.5)
    asked = np.concatenate([one.asked for one in rounds])
    assert 0 < asked.mean() < 1
    for one in rounds:
        assert one.targets.dtype == np.float32
        assert (one.asked == one.asked[:1]).all(), "all rows at once"
        assert np.allclose(one.targets.sum(-1), one.asked)
        assert (one.weighed.any(-1) == one.asked).all()
        assert not one.targets[~one.weighed].any()
        looked = one.observations["fixation"][:, 1:]  # where the saccade before went
        best = np.stack(np.divmod(one.targets.argmax(-1), 14), -1)[:, :-1]
        assert (looked == best)[one.asked[:, :-1]].all()


def test_an_interrupted_collection_ends_the_same(env: Any, tmp_path: Path) -> None:
    teacher = policies.create("centre")
    whole = collect(env, tmp_path / "whole", teacher, 0.4)
    collect(env, tmp_path / "parts", teacher, 0.4, steps=6)
    env.reset(seed=9)
    for one, other in zip(whole, collect(env, tmp_path / "parts", teacher, 0.4), strict=True):
        for mine, theirs in zip(one[1:], other[1:], strict=True):
            assert np.array_equal(mine, theirs)
        for key, value in one.observations.items():
            assert np.array_equal(value, other.observations[key])


def test_the_loss_is_a_cross_entropy_among_what_was_weighed_and_is_free() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 9.0]])
    targets = np.array([[[0.25, 0.75, 0, 0]], [[0, 0, 1.0, 0]]], np.float32)
    weighed = np.array([[[True, True, True, False]], [[True, True, True, True]]])
    asked = np.ones((2, 1), bool)
    part = Round({}, targets, weighed, asked, np.ones((2, 1, 4), bool), asked)
    first = np.log(np.exp([1, 2, 3]).sum()) - (0.25 * 1 + 0.75 * 2)
    second = np.log(3 + np.exp(9))
    assert float(imitate._cross_entropy(logits, part)) == pytest.approx((first + second) / 2)
    free = np.array([[True, True, True, True], [True, True, False, True]])
    masked = float(imitate._cross_entropy(logits, part, free))
    assert masked == pytest.approx(first / 2), "what the teacher wants is closed: nothing is learnt"


@pytest.mark.parametrize("asked", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(env: Any, tmp_path: Path, asked: float) -> None:
    with pytest.raises(ValueError, match="asked must be above 0 and up to 1"):
        collect(env, tmp_path, policies.create("centre"), asked)


def test_damaged_files_are_named(env: Any, tmp_path: Path) -> None:
    collect(env, tmp_path, policies.create("centre"), 1.0)
    path = tmp_path / "00001.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"00001.npz is damaged .* remove it"):
        demonstrations.read(path, ["tokens"])
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(OSError, match=r"about.json cannot be read"):
        Demonstrations(tmp_path, {"observation": {}})
    (tmp_path / "about.json").unlink()
    with pytest.raises(ValueError, match="holds something else than demonstrations"):
        Demonstrations(tmp_path, {"observation": {}})


def test_an_agent_observes_the_activation_of_the_environment(sample: Any) -> None:
    cnn = classifiers.create("efficientnet_lite0")
    env: Any = SaccadeVectorEnv(2, images=sample, classifier=cnn, max_saccades=3)
    env = ActivationObservation(PeripheryObservation(env, 24), 24)
    env.reset(seed=1)
    observation, *_ = env.step(np.array([30, 99]))
    observing = Observing((14, 14), 16, 24, eye=cnn)
    observing.begin(env.unwrapped.images)
    mine = observing(env.unwrapped.view)
    assert mine.keys() == observation.keys()
    for key, value in observation.items():
        assert np.allclose(mine[key], value, atol=1e-5), key
