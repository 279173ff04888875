"""The SB3 adapter: Stable-Baselines3 sees what its own wrappers would show it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FilterObservation
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from saccade_env import PeripheryObservation, SaccadeEnv, SaccadeVectorEnv, policies
from saccade_env.agents import SB3VecEnv

ROWS = 4


def build(linear: Any, **task: Any) -> tuple[SB3VecEnv, DummyVecEnv]:
    def wrapped(env: Any) -> Any:
        return PeripheryObservation(env, size=8)

    native = SaccadeVectorEnv(ROWS, images="sample", classifier=linear, **task)
    single = partial(lambda: wrapped(SaccadeEnv("sample", linear, **task)))
    return SB3VecEnv(wrapped(native)), DummyVecEnv([single] * ROWS)


def assert_same(left: Any, right: Any) -> None:
    assert left.keys() == right.keys()
    for key in right:
        np.testing.assert_allclose(left[key], right[key], atol=1e-5, err_msg=key)


def test_equals_dummy_vec_env_with_seeds(linear: Any) -> None:
    native, dummy = build(linear, stop_action=True, max_saccades=4)
    native.seed(21)
    dummy.seed(21)
    assert_same(native.reset(), dummy.reset())
    generator = np.random.default_rng(0)
    for _ in range(60):
        actions = np.where(generator.random(ROWS) < 0.1, 196, generator.integers(0, 196, ROWS))
        left, right = native.step(actions), dummy.step(actions)
        assert_same(left[0], right[0])
        np.testing.assert_allclose(left[1], right[1], atol=1e-5)
        assert left[1].dtype == np.float32
        assert np.array_equal(left[2], right[2])
        for mine, theirs in zip(left[3], right[3], strict=True):
            terminal = (
                mine.pop("terminal_observation", None),
                theirs.pop("terminal_observation", None),
            )
            assert (terminal[0] is None) == (terminal[1] is None)
            if terminal[0] is not None:
                assert_same(*terminal)
            assert_same(mine, theirs)


def test_methods_and_attributes_reach_the_environment(linear: Any) -> None:
    native, _ = build(linear)
    native.reset()
    native.step(np.array([0, 1, 2, 3]))
    masks = native.env_method("action_masks")
    assert len(masks) == ROWS
    assert masks[0].tolist() == native.env.unwrapped.action_masks()[0].tolist()
    assert len(native.env_method("action_masks", indices=[1, 3])) == 2
    assert native.get_attr("config")[0].fovea == 3
    assert native.has_attr("action_masks")
    assert not native.has_attr("nonsense")
    assert native.env_is_wrapped(VecMonitor) == [False] * ROWS
    native.set_attr("note", "here")
    assert native.get_attr("note") == ["here"] * ROWS
    with pytest.raises(ValueError, match="rows share one environment"):
        native.set_attr("note", 1, indices=[0])


def test_attributes_and_resets_are_of_a_row(linear: Any) -> None:
    native, dummy = build(linear, stop_action=True)
    for env in (native, dummy):
        env.seed(5)
        env.reset()
    for name in ("action_space", "observation_space", "np_random_seed", "render_mode"):
        left, right = native.get_attr(name, [1, 2]), dummy.get_attr(name, [1, 2])
        assert left == right, name
    assert len({id(generator) for generator in native.get_attr("np_random")}) == ROWS
    assert native.get_attr("images")[2].equal(dummy.get_attr("images")[2])
    assert native.get_attr("view", 3)[0].revealed.equal(dummy.get_attr("view", 3)[0].revealed)
    left, right = (env.env_method("reset", seed=9, indices=[0, 3]) for env in (native, dummy))
    for mine, theirs in zip(left, right, strict=True):
        assert_same(mine[0], theirs[0])
        assert_same(mine[1], theirs[1])
    assert native.env_method("reset_policy", policies.create("centre")) == [None] * ROWS


def test_metadata_make_videos_as_fast_as_they_are(linear: Any) -> None:
    assert build(linear)[0].metadata["render_fps"] == SaccadeEnv.metadata["render_fps"] == 2


def test_it_wraps_wrapped_vector_envs(linear: Any) -> None:
    env = SaccadeVectorEnv(ROWS, "sample", linear, max_saccades=2)
    native = SB3VecEnv(RecordEpisodeStatistics(PeripheryObservation(env, size=8)))
    native.reset()
    assert "episode" not in native.step(np.zeros(ROWS, int))[3][0]
    _, _, ended, infos = native.step(np.ones(ROWS, int))
    assert ended.all()
    assert infos[1]["episode"]["l"] == 2
    assert infos[1]["terminal_observation"]["saccades_left"] == 0
    assert native.reset_infos[1]["visible_share"] == 0 < infos[1]["visible_share"]
    assert not infos[1]["TimeLimit.truncated"]
    limited = SB3VecEnv(SaccadeVectorEnv(1, "sample", linear, max_episode_steps=1))
    limited.reset()
    assert limited.step(np.zeros(1, int))[3][0]["TimeLimit.truncated"]


def test_wrappers_of_sb3_take_the_observation(linear: Any) -> None:
    env: Any = VecNormalize(VecFrameStack(build(linear, max_saccades=2)[0], 2))
    assert env.reset()["saccades_left"].shape == (ROWS, 2)
    for _ in range(3):
        observation, *_ = env.step(np.arange(ROWS))
    assert observation["tokens"].shape == (ROWS, 196, 2 * 768)
    assert np.isfinite(observation["periphery"]).all()


@pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
def test_the_default_periphery_suits_sb3s_network(linear: Any) -> None:
    env = FilterObservation(PeripheryObservation(SaccadeEnv("sample", linear)), ["periphery"])
    PPO("MultiInputPolicy", env, n_steps=4, batch_size=4, n_epochs=1).learn(4)


def test_options_pick_pictures(linear: Any) -> None:
    native, _ = build(linear)
    native.set_options({"index": 2})
    native.reset()
    assert len({info["label"] for info in native.reset_infos}) == 1


def test_another_autoreset_is_refused(linear: Any) -> None:
    other = SyncVectorEnv(
        [lambda: SaccadeEnv("sample", linear)], autoreset_mode=AutoresetMode.NEXT_STEP
    )
    with pytest.raises(ValueError, match="SAME_STEP, the default .* got AutoresetMode.NEXT_STEP"):
        SB3VecEnv(other)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
def test_maskable_ppo_learns_through_it(linear: Any) -> None:
    sb3_contrib = pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    from saccade_env import ImageObservation

    env = SaccadeVectorEnv(ROWS, images="sample", classifier=linear, max_saccades=3)
    model = sb3_contrib.MaskablePPO(
        "CnnPolicy",
        VecMonitor(SB3VecEnv(ImageObservation(env))),
        n_steps=4,
        batch_size=16,
        n_epochs=1,
    )
    before = [p.clone() for p in model.policy.parameters()]
    model.learn(16)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
    assert model.ep_info_buffer[0]["l"] == 3
