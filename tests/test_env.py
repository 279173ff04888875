"""The single environment keeps Gymnasium's and SB3's contracts, for every action and wrapper."""

from __future__ import annotations

import copy
import importlib.metadata
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3.common.env_checker as sb3_checker
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from PIL import Image

import saccade_env
from saccade_env import (
    ImageObservation,
    PeripheryObservation,
    SaccadeEnv,
    SaliencyObservation,
    policies,
)
from saccade_env.images import BrokenImageError

ACTIONS = (
    {"action": "token"},
    {"action": "token", "stop_action": True},
    {"action": "grid"},
    {"action": "continuous"},
)
WRAPPERS = {
    "bare": lambda env: env,
    "image": ImageObservation,
    "periphery": lambda env: PeripheryObservation(env, size=16),
    "saliency": lambda env: SaliencyObservation(env, policies.create("centre")),
    "both": lambda env: SaliencyObservation(
        PeripheryObservation(env, size=8), policies.create("random")
    ),
}


@pytest.fixture
def make(linear: Any) -> Any:
    def build(**keywords: Any) -> SaccadeEnv:
        return SaccadeEnv("sample", linear, **keywords)

    return build


# SB3 prefers tokens of an image's shape and scaled actions; it says so, and works all the same.
@pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("action", ACTIONS, ids=str)
def test_env_checkers_pass(make: Any, action: dict[str, Any], wrapper: str) -> None:
    env = WRAPPERS[wrapper](make(**action, render_mode="ansi"))
    check_env(env, skip_render_check=True)
    sb3_checker.check_env(env, skip_render_check=True)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
@pytest.mark.parametrize("mode", ["human", "rgb_array", "ansi"])
def test_rendering_passes_the_checker(
    make: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pygame", reason="needs pygame: pip install 'saccade-env[window]'")
    monkeypatch.setitem(SaccadeEnv.metadata, "render_fps", 1000)
    env = make(render_mode=mode)
    env.spec = copy.copy(gym.spec(saccade_env.ENV_ID))  # the registry's own must stay clean
    env.spec.kwargs = {"images": "sample", "classifier": env._task.classifier}
    check_env(env)
    env.close()


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
def test_wrapped_gym_make_can_be_recreated(sample: Any, linear: Any) -> None:
    env = gym.make(saccade_env.ENV_ID, images=sample, classifier=linear)
    env = SaliencyObservation(PeripheryObservation(env, size=8), policies.create("centre"))
    assert isinstance(env, SaliencyObservation)
    check_env(env, skip_render_check=True)
    assert "periphery" in env.spec.make().reset(seed=0)[0]


def test_gym_make_builds_the_default(linear: Any) -> None:
    env = gym.make(saccade_env.ENV_ID, images="sample", classifier=linear, fovea=5)
    observation, info = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert observation["fixation"].tolist() == [-1, -1]
    assert observation["saccades_left"] == 10
    assert not observation["tokens"].any()
    assert set(info) == {
        "label", "prediction", "certainty", "correct", "visible_share", "action_mask",
    }  # fmt: skip
    _, reward, terminated, truncated, info = env.step(90)
    assert isinstance(reward, float)
    assert (terminated, truncated) == (False, False)
    assert info["visible_share"] == pytest.approx(25 / 196)


def test_auto_falls_back_with_one_visible_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade_env import classifiers

    classifiers.resolve_auto.cache_clear()
    monkeypatch.delitem(classifiers.REGISTRY.entries, "dino_vits16", raising=False)
    with pytest.warns(
        UserWarning, match=r"'auto' is efficientnet_lite0, since dino_vits16"
    ) as seen:
        first = gym.make(saccade_env.ENV_ID, images="sample")
        gym.make(saccade_env.ENV_ID, images="sample")
    assert len(seen) == 1
    assert first.unwrapped.card["classifier"]["name"] == "efficientnet_lite0"
    classifiers.resolve_auto.cache_clear()


def test_an_episode_reveals_only_what_was_looked_at(make: Any) -> None:
    env = make()
    env.reset(seed=0, options={"index": 2})
    pixels = env.images[0].numpy()
    observation, *_ = env.step(0)
    shown = observation["tokens"].reshape(14, 14, 3, 16, 16)
    assert np.array_equal(shown[1, 1], pixels[:, 16:32, 16:32])
    assert observation["revealed"].sum() == 4
    assert not shown[2:].any()
    assert observation["fixation"].tolist() == [0, 0]
    assert observation["saccades_left"] == 9


def test_same_seed_same_trajectory(make: Any) -> None:
    def trajectory() -> list[Any]:
        env = make(stop_action=True)
        env.action_space.seed(5)
        steps: list[Any] = [env.reset(seed=11)]
        for _ in range(40):
            steps.append(env.step(env.action_space.sample()))
            if steps[-1][2]:
                steps.append(env.reset())
        return steps

    first, second = trajectory(), trajectory()
    assert all(data_equivalence(a, b, exact=True) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("index", [1.5, "a", np.nan, True, [1]])
def test_what_is_no_index_or_seed_is_refused(make: Any, index: Any) -> None:
    env = make()
    with pytest.raises(ValueError, match="index must be a whole number ≥ -34 and < 34; got"):
        env.reset(options={"index": index})
    with pytest.raises(ValueError, match="seed must be a whole number ≥ 0; got"):
        env.reset(seed=index)


def test_info_holds_numpy_scalars(make: Any) -> None:
    _, info = make().reset(seed=np.int64(3))
    kinds = {key: value.dtype.kind for key, value in info.items()}
    floats, truths = dict.fromkeys(["certainty", "visible_share"], "f"), ["correct", "action_mask"]
    assert kinds == {"label": "i", "prediction": "i", **floats, **dict.fromkeys(truths, "b")}


def test_actions_beyond_the_border_are_clipped(make: Any) -> None:
    env = make(action="continuous")
    env.reset(seed=0)
    observation, *_ = env.step(np.nextafter(np.float32([1, -1]), np.float32([2, -2])))
    assert observation["fixation"].tolist() == [13, 0]


def test_another_default_type_changes_nothing(make: Any, monkeypatch: Any) -> None:
    def episode() -> list[Any]:
        env = PeripheryObservation(make(action="continuous", reward="correct"), size=8)
        return [env.reset(seed=0), env.step(np.array([0.1, -0.4], np.float32))]

    expected = episode()
    try:
        torch.set_default_dtype(torch.float64)
        found = episode()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(data_equivalence(a, b, exact=True) for a, b in zip(found, expected, strict=True))


def test_the_spec_can_be_written_made_again_and_copied(linear: Any, tmp_path: Any) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    keywords = {"images": tmp_path, "classifier": "efficientnet_lite0", "max_episode_steps": 4}
    single = gym.make(saccade_env.ENV_ID, **keywords)
    again = gym.envs.registration.EnvSpec.from_json(single.spec.to_json()).make()
    assert again.spec == single.spec
    vector = gym.make_vec(saccade_env.ENV_ID, 2, autoreset_mode="NextStep", **keywords)
    spec = gym.envs.registration.EnvSpec.from_json(vector.spec.to_json())
    assert gym.make_vec(spec).metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP
    given = gym.make(saccade_env.ENV_ID, images=tmp_path, classifier=linear)
    for copied in (copy.deepcopy(given.spec), pickle.loads(pickle.dumps(given.spec))):
        assert copied.make().reset(seed=0)[1]["label"] == -1


def test_options_pick_the_picture(make: Any) -> None:
    env = make()
    labels = [env.reset(options={"index": i})[1]["label"] for i in range(34)]
    assert len(set(labels)) == 34
    assert env.reset(options={"index": -1})[1]["label"] == labels[-1]
    with pytest.raises(IndexError):
        env.reset(options={"index": 34})
    with pytest.raises(ValueError, match="unknown reset option 'indx'. Did you mean 'index'"):
        env.reset(options={"indx": 1})


def test_certainty_gain_sums_to_final_minus_initial(make: Any) -> None:
    env = make(reward="certainty_gain")
    _, info = env.reset(seed=1)
    initial, total, over = info["certainty"], 0.0, False
    while not over:
        _, reward, over, _, info = env.step(env.action_space.sample())
        total += reward
    assert total == pytest.approx(info["certainty"] - initial, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "bad", "message"),
    [
        ({}, 196, "must be ≥ 0 and < 196; got \\[196\\]"),
        ({}, -1, "must be ≥ 0"),
        ({}, 3.5, "must be whole numbers"),
        ({}, [1, 2], "'token' must have shape \\(\\)"),
        ({"stop_action": True}, 197, "< 197"),
        ({"action": "grid"}, [3, 14], "< \\[14, 14\\]"),
        ({"action": "grid"}, 5, "must have shape \\(2,\\); got \\(\\)"),
        ({}, [3], "must have shape \\(\\); got \\(1,\\)"),
        ({"action": "continuous"}, ["a", "b"], "must be finite numbers"),
        ({"action": "continuous"}, [0.0, np.nan], "must be finite"),
    ],
)
def test_bad_actions_are_refused(make: Any, kind: Any, bad: Any, message: str) -> None:
    env = make(**kind)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(bad)


def test_action_kinds_agree(make: Any) -> None:
    seen = []
    for kind, action in (
        ("token", 5 * 14 + 9),
        ("grid", np.array([5, 9])),
        ("continuous", np.array([5, 9]) / 13 * 2 - 1),
    ):
        env = make(action=kind)
        env.reset(options={"index": 0})
        observation, *_ = env.step(action)
        assert observation["fixation"].tolist() == [5, 9]
        seen.append(observation["tokens"])
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])


def test_masks_are_the_inhibition(make: Any) -> None:
    env = make(stop_action=True)
    env.reset(seed=0)
    assert env.action_masks().all()
    _, _, _, _, info = env.step(0)
    closed = np.flatnonzero(~info["action_mask"])
    assert closed.tolist() == [0, 1, 14, 15]
    assert np.array_equal(env.action_masks(), info["action_mask"])
    grid = make(action="grid", fovea=13)
    grid.reset(seed=0)
    grid.step([6, 6])
    assert np.flatnonzero(~grid.action_masks()).tolist() == []  # row 13 is open at every column
    with pytest.raises(ValueError, match="cannot be masked"):
        blind = make(action="continuous")
        blind.reset()
        blind.action_masks()


def test_stopping_ends_the_episode(make: Any) -> None:
    env = make(stop_action=True, saccade_cost=0.1)
    env.reset(seed=0)
    env.step(50)
    _, reward, terminated, _, _ = env.step(196)
    assert terminated
    assert reward == 0
    with pytest.raises(ResetNeeded, match="over or was never begun"):
        env.step(0)


def test_environments_pickle(make: Any) -> None:
    env = PeripheryObservation(make(), size=8)
    env.reset(seed=0)
    env.step(33)
    twin = pickle.loads(pickle.dumps(env))
    assert data_equivalence(env.step(99), twin.step(99), exact=True)


def test_a_misspelt_keyword_is_answered_by_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown keyword 'foeva'. Did you mean 'fovea'"):
        gym.make("SaccadeImageNet-v0", foeva=3)


def test_what_cannot_work_is_refused(linear: Any, make_linear: Any) -> None:
    with pytest.raises(ValueError, match="fovea must be odd and ≤ 14; got 4"):
        SaccadeEnv("sample", linear, fovea=4)
    with pytest.raises(ValueError, match="unknown classifier 'efficientnet'. Did you mean"):
        SaccadeEnv("sample", "efficientnet")
    with pytest.raises(ValueError, match="do not give the grid"):
        SaccadeEnv("sample", make_linear(image_size=(320, 320)))
    for device in ("gpu", "meta", 3.5):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used"):
            SaccadeEnv("sample", linear, device=device)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error must be"):
        SaccadeEnv("sample", linear, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown render mode 'humen'. Did you mean 'human'"):
        SaccadeEnv("sample", linear, render_mode="humen")
    with pytest.raises(ValueError, match="hidden must be 'dimmed' or 'grey'; got 'gray'"):
        SaccadeEnv("sample", linear, hidden="gray")  # type: ignore[arg-type]
    with pytest.raises(ResetNeeded):
        SaccadeEnv("sample", linear).step(0)
    with pytest.raises(ResetNeeded):
        _ = SaccadeEnv("sample", linear).view


def test_rewards_with_labels_refuse_unlabelled_folders(linear: Any, tmp_path: Any) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="'correct_certainty_gain' needs labelled images"):
        SaccadeEnv(tmp_path, linear, reward="correct_certainty_gain")
    env = SaccadeEnv(tmp_path, linear, reward="certainty_gain")
    assert env.reset(seed=0)[1]["label"] == -1


def test_broken_pictures_raise_or_are_skipped(linear: Any, tmp_path: Any) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    env = SaccadeEnv(tmp_path, linear, on_error="skip")
    with pytest.warns(UserWarning, match="skipped: .*torn.jpg"):
        for seed in range(8):
            env.reset(seed=seed)
    strict = SaccadeEnv(tmp_path, linear)
    with pytest.raises(BrokenImageError, match="torn.jpg"):
        strict.reset(options={"index": 1})


def test_the_card_says_what_is_used(make: Any) -> None:
    card = make().card
    assert card["classifier"]["weights"]["source"] == "random, seed 0"
    assert card["images"]["name"] == "sample"
    assert len(card["images"]["identity"]) == 64
    assert card["config"]["grid"] == [14, 14]
    assert card["versions"]["saccade-env"] == importlib.metadata.version("saccade-env")
