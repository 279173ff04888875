"""The native vector environment equals Gymnasium's SyncVectorEnv of single ones."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import saccade_env
from saccade_env import (
    ImageObservation,
    PeripheryObservation,
    SaccadeEnv,
    SaccadeVectorEnv,
    SaliencyObservation,
    policies,
)

ROWS = 5
FLOATS = {"certainty"}


def wrap(kind: str, env: Any) -> Any:
    if kind == "image":
        return ImageObservation(env)
    if kind == "both":
        prior = policies.create("random", seed=4)
        return SaliencyObservation(PeripheryObservation(env, size=8), prior)
    return env


def pair(source: Any, classifier: Any, kind: str = "bare", **task: Any) -> tuple[Any, Any]:
    native = wrap(kind, SaccadeVectorEnv(ROWS, images=source, classifier=classifier, **task))
    single = partial(lambda: wrap(kind, SaccadeEnv(source, classifier, **task)))
    return native, SyncVectorEnv([single] * ROWS, autoreset_mode=AutoresetMode.SAME_STEP)


def assert_equal(left: Any, right: Any, name: str = "") -> None:
    """Exactly equal, but for certainties to 1e-5; nested dicts and object arrays included."""
    if isinstance(right, dict):
        assert left.keys() == right.keys(), name
        for key in right:
            assert_equal(left[key], right[key], key)
    elif right is None:
        assert left is None, name
    elif isinstance(right, np.ndarray) and right.dtype == object:
        for a, b in zip(left, right, strict=True):
            assert_equal(a, b, name)
    elif name in FLOATS:
        np.testing.assert_allclose(left, right, atol=1e-5, err_msg=name)
    else:
        np.testing.assert_array_equal(left, right, err_msg=name)
        assert np.asarray(left).dtype == np.asarray(right).dtype, name


@pytest.mark.parametrize("kind", ["bare", "image", "both"])
@pytest.mark.parametrize(
    "task",
    [
        {"stop_action": True, "saccade_cost": 0.01},
        {"action": "grid", "fovea": 5, "reward": "correct_certainty_gain"},
        {"action": "continuous", "max_saccades": 3, "reward": "true_class_gain"},
    ],
    ids=["token", "grid", "continuous"],
)
def test_equals_sync_vector_env(sample: Any, linear: Any, task: dict[str, Any], kind: str) -> None:
    steps = 500 if kind == "bare" else 60
    native, sync = pair(sample, linear, kind, **task)
    assert native.observation_space == sync.observation_space
    assert native.action_space == sync.action_space
    assert native.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    native.action_space.seed(2)
    observed, expected = native.reset(seed=7), sync.reset(seed=7)
    assert_equal(observed[0], expected[0])
    assert_equal(observed[1], expected[1])
    ended = np.zeros(ROWS, dtype=int)
    for step in range(steps):
        actions = native.action_space.sample()
        if task.get("stop_action") and step % 4:
            actions = np.minimum(actions, 195)
        if task.get("stop_action") and step % 7 == 0:
            actions[step % ROWS] = 196
        left, right = native.step(actions), sync.step(actions)
        assert_equal(left[0], right[0])
        np.testing.assert_allclose(left[1], right[1], atol=1e-5)
        assert_equal(left[2], right[2])
        assert_equal(left[3], right[3])
        assert_equal(left[4], right[4])
        assert native.observation_space.contains(left[0])
        ended += left[2]
    assert (ended > 1).all()
    if task.get("stop_action"):
        assert len(set(ended.tolist())) > 1, "rows should have stopped independently"


def test_gym_make_vec_uses_the_native_one(linear: Any) -> None:
    env = gym.make_vec(
        saccade_env.ENV_ID,
        num_envs=3,
        vectorization_mode="vector_entry_point",
        images="sample",
        classifier=linear,
    )
    assert isinstance(env.unwrapped, SaccadeVectorEnv)
    observation, _ = env.reset(seed=[4, 4, 9])
    assert observation["tokens"].shape == (3, 196, 768)
    assert env.unwrapped.np_random_seed == (4, 4, 9)
    images = env.unwrapped.images
    assert (images[0] == images[1]).all()


def test_same_seed_same_trajectory_and_pickling(linear: Any) -> None:
    first = SaccadeVectorEnv(4, images="sample", classifier=linear)
    first.reset(seed=1)
    for step in range(14):
        first.step(np.arange(4) * 9 + step)
    twin = pickle.loads(pickle.dumps(first))
    for step in range(14):
        actions = np.arange(4) * 11 + step
        assert data_equivalence(first.step(actions), twin.step(actions), exact=True)


def test_observations_are_not_overwritten_by_the_next_step(linear: Any) -> None:
    env = SaccadeVectorEnv(3, images="sample", classifier=linear, max_saccades=2)
    kept, _ = env.reset(seed=0)
    copies = {key: value.copy() for key, value in kept.items()}
    for step in range(5):
        env.step(np.array([5, 60, 120]) + step)
    for key, value in kept.items():
        np.testing.assert_array_equal(value, copies[key])


def test_options_pick_pictures_and_bad_input_is_refused(linear: Any) -> None:
    env = SaccadeVectorEnv(2, images="sample", classifier=linear)
    with pytest.raises(ResetNeeded):
        env.step(np.array([0, 0]))
    _, infos = env.reset(options={"index": [1, 1]})
    assert infos["label"][0] == infos["label"][1]
    with pytest.raises(ValueError, match="expected 2 actions; got 3"):
        env.step(np.array([0, 0, 0]))
    with pytest.raises(ValueError, match="seed must be one number or 2, one a row; got 3"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="num_envs must be a whole number ≥ 1; got 0"):
        SaccadeVectorEnv(0, classifier=linear)
    with pytest.raises(TypeError, match="fovae"):
        SaccadeVectorEnv(2, classifier=linear, fovae=3)


def test_masks_and_frames_are_batched(linear: Any) -> None:
    env = SaccadeVectorEnv(2, images="sample", classifier=linear, render_mode="ansi")
    env.reset(seed=0)
    env.step(np.array([0, 195]))
    masks = env.action_masks()
    assert masks.shape == (2, 196)
    assert np.flatnonzero(~masks[0]).tolist() == [0, 1, 14, 15]
    assert len(env.render()) == 2
