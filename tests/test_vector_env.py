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
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers import vector as gym_wrappers

import saccade_env
from saccade_env import (
    ImageObservation,
    PeripheryObservation,
    SaccadeEnv,
    SaccadeVectorEnv,
    SaliencyObservation,
    policies,
)
from saccade_env.images import BrokenImageError

ROWS = 5
SAME = AutoresetMode.SAME_STEP
FLOATS = {"certainty"}


def wrap(kind: str, env: Any) -> Any:
    if kind == "image":
        return ImageObservation(env)
    if kind == "both":
        prior = policies.create("random", seed=4)
        return SaliencyObservation(PeripheryObservation(env, size=8), prior)
    return env


def pair(
    source: Any, judge: Any, kind: str = "bare", mode: Any = SAME, limit: Any = None, **task: Any
) -> tuple[Any, Any]:
    """The native environment, and Gymnasium's of single ones."""
    native = SaccadeVectorEnv(
        ROWS, source, judge, autoreset_mode=mode, max_episode_steps=limit, **task
    )

    def single() -> Any:
        env = wrap(kind, SaccadeEnv(source, judge, **task))
        return TimeLimit(env, limit) if limit else env

    return wrap(kind, native), SyncVectorEnv([single] * ROWS, autoreset_mode=mode)


def assert_equal(left: Any, right: Any, name: str = "") -> None:
    """Exactly equal, but for certainties to 1e-5; nested dicts and object arrays included."""
    if isinstance(right, tuple):
        for a, b in zip(left, right, strict=True):
            assert_equal(a, b, name)
    elif isinstance(right, dict):
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


@pytest.mark.parametrize(
    "kind", ["bare", *(pytest.param(x, marks=pytest.mark.slow) for x in ("image", "both"))]
)
@pytest.mark.parametrize(
    "task",
    [
        pytest.param({"stop_action": True, "saccade_cost": 0.01}, id="token"),
        pytest.param(
            {"action": "grid", "fovea": 5, "reward": "correct_certainty_gain"},
            id="grid",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"action": "continuous", "max_saccades": 3, "reward": "true_class_gain"},
            id="continuous",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_equals_sync_vector_env(sample: Any, linear: Any, task: dict[str, Any], kind: str) -> None:
    steps = 150 if kind == "bare" else 60
    native, sync = pair(sample, linear, kind, **task)
    assert native.observation_space == sync.observation_space
    assert native.action_space == sync.action_space
    assert native.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    native.action_space.seed(2)
    observed, expected = native.reset(seed=7), sync.reset(seed=7)
    assert_equal(observed, expected)
    ended = np.zeros(ROWS, dtype=int)
    for step in range(steps):
        actions = native.action_space.sample()
        if task.get("stop_action") and step % 4:
            actions = np.minimum(actions, 195)
        if task.get("stop_action") and step % 7 == 0:
            actions[step % ROWS] = 196
        left, right = native.step(actions), sync.step(actions)
        np.testing.assert_allclose(left[1], right[1], atol=1e-5)
        assert_equal((left[0], *left[2:]), (right[0], *right[2:]))
        assert native.observation_space.contains(left[0])
        ended += left[2]
    assert (ended > 1).all()
    if task.get("stop_action"):
        assert len(set(ended.tolist())) > 1, "rows should have stopped independently"


@pytest.mark.parametrize("limit", [None, 3], ids=["no limit", "limit"])
@pytest.mark.parametrize(
    "stop",
    [pytest.param(False, marks=pytest.mark.slow, id="no stop"), pytest.param(True, id="stop")],
)
@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_equals_sync_vector_env_in_each_mode(
    sample: Any, linear: Any, mode: Any, stop: bool, limit: int | None
) -> None:
    native, sync = pair(sample, linear, "both", mode, limit, stop_action=stop, max_saccades=5)
    assert native.metadata == sync.metadata
    generator = np.random.default_rng(0)
    assert_equal(native.reset(seed=7), sync.reset(seed=7))
    ended, begun = np.zeros(ROWS, bool), np.zeros(2, int)
    for _ in range(40):
        actions = generator.integers(0, 196, ROWS)
        if stop:
            actions = np.where(generator.random(ROWS) < 0.2, 196, actions)
        if mode == AutoresetMode.NEXT_STEP:
            actions[ended] = 999  # not looked at
        left, right = native.step(actions), sync.step(actions)
        np.testing.assert_allclose(left[1], right[1], atol=1e-5)
        assert_equal((left[0], *left[2:]), (right[0], *right[2:]))
        ended = left[2] | left[3]
        begun += left[2].sum(), left[3].sum()
        if mode == AutoresetMode.DISABLED and ended.any():
            options = [{"reset_mask": ended, "index": 3}, {"reset_mask": ended, "index": 3}]
            assert_equal(native.reset(options=options[0]), sync.reset(options=options[1]))
            assert "reset_mask" in options[0], "the caller's"
    assert (begun > [5 if stop or not limit else -1, 5 if limit else -1]).all()


def test_truncation_is_of_steps_and_beside_termination(linear: Any) -> None:
    env = gym.make_vec(
        saccade_env.ENV_ID, 1, images="sample", classifier=linear, max_episode_steps=2,
        max_saccades=2, autoreset_mode="Disabled",
    )  # fmt: skip
    env.reset(seed=0)
    assert [value.item() for value in env.step([3])[2:4]] == [False, False]
    assert [value.item() for value in env.step([9])[2:4]] == [True, True]
    with pytest.raises(ResetNeeded, match=r"rows \[0\] are over: call reset"):
        env.step([3])


def test_vector_wrappers_of_gymnasium_work_with_the_next_step(sample: Any, linear: Any) -> None:
    env = SaccadeVectorEnv(3, sample, linear, max_saccades=2, autoreset_mode="NextStep")
    env = gym_wrappers.RecordEpisodeStatistics(gym_wrappers.FlattenObservation(env))
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    env.step(np.zeros(3, int))
    *_, infos = env.step(np.ones(3, int))
    assert infos["episode"]["l"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="NEXT_STEP or DISABLED"):
        gym_wrappers.FlattenObservation(SaccadeVectorEnv(1, sample, linear))


@pytest.mark.parametrize("mode", [SAME, AutoresetMode.NEXT_STEP], ids=lambda mode: mode.name)
def test_rows_wait_for_a_reset_after_a_picture_that_is_broken(
    sample: Any, linear: Any, mode: Any, monkeypatch: Any
) -> None:
    def torn(self: Any, index: int) -> Any:
        raise BrokenImageError(f"picture {index} is torn")

    task = {"images": sample, "classifier": linear, "stop_action": True, "max_saccades": 2}
    env, single = SaccadeVectorEnv(3, workers=0, autoreset_mode=mode, **task), SaccadeEnv(**task)
    env.reset(seed=0)
    single.reset(seed=0)
    with monkeypatch.context() as broken:
        broken.setattr(type(sample), "__getitem__", torn)
        with pytest.raises(BrokenImageError, match="is torn"):
            env.step([196, 5, 5])
            env.step([5, 5, 5])
        with pytest.raises(BrokenImageError, match="is torn"):
            single.reset()
    for _ in range(2):
        with pytest.raises(ResetNeeded, match=r"rows \[0.*\] are over: call reset"):
            env.step([5, 5, 5])
        with pytest.raises(ResetNeeded):
            single.step(5)
    env.reset(options={"reset_mask": np.ones(3, bool)})
    env.step([5, 5, 5])


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


@pytest.mark.slow
def test_workers_may_be_spawned() -> None:
    make = partial(
        gym.make, f"saccade_env:{saccade_env.ENV_ID}", images="sample",
        classifier="efficientnet_lite0",
    )  # fmt: skip
    env = AsyncVectorEnv([make] * 2, context="spawn")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    env.step(np.array([3, 90]))
    env.close()


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
    with pytest.raises(ResetNeeded, match="the first reset must begin every row"):
        SaccadeVectorEnv(2, "sample", linear).reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="num_envs must be a whole number ≥ 1; got 0"):
        SaccadeVectorEnv(0, classifier=linear)
    with pytest.raises(ValueError, match="unknown keyword 'fovae'. Did you mean 'fovea'"):
        SaccadeVectorEnv(2, classifier=linear, fovae=3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seed": [1, -2]}, "seed must be a whole number ≥ 0; got -2"),
        ({"seed": "ab"}, "seed must be a whole number ≥ 0; got 'ab'"),
        ({"options": {"index": [1, 2.5]}}, "index must be a whole number ≥ -34 and < 34; got 2.5"),
        ({"options": {"index": True}}, "index must be a whole number ≥ -34 and < 34; got True"),
        ({"options": {"index": [1]}}, "index must be one number or 2, one a row; got 1"),
        ({"options": {"reset_mask": [True]}}, "reset_mask must be bool of shape \\(2,\\)"),
        ({"options": {"reset_mask": [1, 0]}}, "reset_mask must be bool .* got int64 \\[1, 0\\]"),
        ({"options": {"reset_mask": [False] * 2}}, "with a True"),
        ({"options": {"reset": 3}}, "unknown reset option 'reset'. Did you mean 'reset_mask'"),
        ({"options": [3]}, "options must be a dict with any of \\['index', 'reset_mask'\\]"),
    ],
)
def test_resets_that_cannot_be_are_refused(linear: Any, asked: Any, message: str) -> None:
    env = SaccadeVectorEnv(2, "sample", linear)
    with pytest.raises(ValueError, match=message):
        env.reset(**asked)


def test_masks_and_frames_are_batched(linear: Any) -> None:
    env = SaccadeVectorEnv(2, images="sample", classifier=linear, render_mode="ansi")
    env.reset(seed=0)
    env.step(np.array([0, 195]))
    masks = env.action_masks()
    assert masks.shape == (2, 196)
    assert np.flatnonzero(~masks[0]).tolist() == [0, 1, 14, 15]
    assert len(env.render()) == 2
