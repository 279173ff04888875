"""Demonstrations: what a teacher is asked, where it is followed, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade_env import SaccadeVectorEnv, policies
from saccade_env.agents import demonstrations
from saccade_env.agents.demonstrations import FAR, Demonstrations, Round


def random_open(observation: Any, state: Any, starts: Any, masks: np.ndarray) -> Any:
    noise = torch.rand(masks.shape).numpy()
    return np.where(masks, noise, -1).argmax(1), None


def collect(
    env: Any, folder: Path, teacher: Any, asked: float, steps: int = 12, **how: Any
) -> list[Round]:
    kept = Demonstrations(folder, {"observation": {}})
    paths = kept.collect(env, teacher, steps, random_open, asked, seed=3, progress=False, **how)
    keys = list(env.single_observation_space.spaces)
    return [demonstrations.read(path, keys) for path in paths]


def looked(one: Round) -> np.ndarray:
    """Where each saccade but the last went, as an action."""
    fixations = one.observations["fixation"][:, 1:]
    return fixations[..., 0] * 14 + fixations[..., 1]


@pytest.fixture
def env(linear: Any, sample: Any) -> Any:
    return SaccadeVectorEnv(2, images=sample, classifier=linear, max_saccades=3)


def test_the_teacher_is_followed_where_it_is_asked(env: Any, tmp_path: Path) -> None:
    rounds = collect(env, tmp_path, policies.create("greedy-oracle", stride=5), 0.5)
    asked = np.concatenate([one.asked for one in rounds])
    assert 0 < asked.mean() < 1
    for one in rounds:
        told = np.isfinite(one.gains)
        assert one.gains.dtype == np.float32
        assert (one.asked == one.asked[:1]).all(), "all rows at once"
        assert (told.any(-1) == one.asked).all()
        assert one.masks[told].all()
        assert (told.sum(-1)[one.asked] <= 9).all(), "of 3 × 3 fixations that it tries"
        best = np.nan_to_num(one.gains, nan=-np.inf).argmax(-1)[:, :-1]
        assert (looked(one) == best)[one.asked[:, :-1]].all()


def test_gains_are_those_of_the_saccade_that_follows(env: Any, tmp_path: Path) -> None:
    """Kept with the observation that they were told of, as the oracle tells them there."""
    oracle = policies.create("greedy-oracle", stride=5)
    for one in collect(env, tmp_path, oracle, 1.0, steps=6):
        begun = one.gains[:, 0]
        belief = one.gains[:, 1:]
        assert np.isfinite(begun).sum() == 2 * 9
        seen = one.observations["revealed"][:, 1:] == 1
        assert not np.isfinite(belief[seen]).any(), "what is revealed is not tried again"
        assert (np.nanmax(one.gains, -1) > np.nanmin(one.gains, -1)).all()


def test_a_teacher_that_is_not_followed_answers_all_the_same(env: Any, tmp_path: Path) -> None:
    oracle = policies.create("greedy-oracle", stride=5)
    rounds = collect(env, tmp_path, oracle, 1.0, follow=False)
    led = collect(env, tmp_path / "led", oracle, 1.0)
    best = [np.nanargmax(one.gains, -1)[:, :-1] for one in rounds]
    own = [looked(one) == answer for one, answer in zip(rounds, best, strict=True)]
    assert np.mean(own) < 0.5, "it looks where a student does"
    for one, other in zip(rounds, led, strict=True):
        assert one.asked.all()
        first = one.gains[:, 0], other.gains[:, 0]
        np.testing.assert_array_equal(*first, "on the same pictures it says the same")


def test_of_a_policy_without_gains_the_choice_is_kept(
    linear: Any, sample: Any, tmp_path: Path
) -> None:
    env = SaccadeVectorEnv(2, images=sample, classifier=linear, max_saccades=3, stop_action=True)
    for one in collect(env, tmp_path, policies.create("centre"), 1.0):
        assert one.gains.shape == (2, 3, 197)
        assert ((one.gains == 0).sum(-1) == 1).all()
        assert ((one.gains == 0) | (one.gains == FAR)).all()
        assert (looked(one) == one.gains.argmax(-1)[:, :-1]).all()
        assert (one.gains[:, 0].argmax(-1) == 6 * 14 + 6).all()


def test_an_interrupted_collection_ends_the_same(env: Any, tmp_path: Path) -> None:
    teacher = policies.create("centre")
    whole = collect(env, tmp_path / "whole", teacher, 0.4)
    collect(env, tmp_path / "parts", teacher, 0.4, steps=6)
    env.reset(seed=9)
    for one, other in zip(whole, collect(env, tmp_path / "parts", teacher, 0.4), strict=True):
        for mine, theirs in zip(one[1:], other[1:], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for key, value in one.observations.items():
            assert np.array_equal(value, other.observations[key])


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
