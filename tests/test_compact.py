"""The compact observation is the default one without its pixels, which come back exactly."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3.common.env_checker as sb3_checker
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import saccade_env
from saccade_env import BeliefObservation, ImageObservation, SaccadeEnv, SaccadeVectorEnv, images
from saccade_env.config import SaccadeConfig
from saccade_env.images import BrokenImageError
from saccade_env.images.derived import Subset
from saccade_env.images.patch_cache import PatchCache
from saccade_env.observe.compact import compact_space, config_of, expand
from saccade_env.spaces import observation_space

ONE = 3 * 224 * 224 / 1e6  # megabytes of a picture


def tensors(observation: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in observation.items()}


def assert_same(expanded: dict[str, torch.Tensor], whole: dict[str, np.ndarray]) -> None:
    assert expanded.keys() == whole.keys()
    for key, value in whole.items():
        assert expanded[key].numpy().dtype == value.dtype, key
        np.testing.assert_array_equal(expanded[key].numpy(), value, err_msg=key)


class Counted(Subset):
    """Counts how often each picture is decoded; one of them may be broken."""

    def __init__(self, source: Any, broken: int | None = None) -> None:
        super().__init__(source, range(len(source)))
        self.decoded, self.broken = list[int](), broken

    def __getitem__(self, i: int) -> images.Picture:
        if i == self.broken:
            raise BrokenImageError(f"cannot read {self.id(i)}")
        self.decoded.append(i)
        return super().__getitem__(i)


@settings(max_examples=8)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 5]),
    st.integers(1, 12),
    st.booleans(),
    st.sampled_from([1.01, 2.5, 512]),
)
def test_random_scanpaths_come_back_exactly(
    linear: Any, sample: Any, seed: int, fovea: int, budget: int, stop: bool, places: float
) -> None:
    random = np.random.default_rng(seed)
    task = {"fovea": fovea, "max_saccades": budget, "stop_action": stop, "workers": 0}
    both = [
        SaccadeVectorEnv(3, sample, linear, observation=kind, **task)
        for kind in ("tokens", "compact")
    ]
    pictures = PatchCache(both[1].source, both[1].patch_size, megabytes=places * ONE, workers=0)
    whole, compact = (env.reset(seed=seed)[0] for env in both)
    for _ in range(5):
        assert both[1].observation_space.contains(compact)
        assert_same(expand(tensors(compact), pictures, both[1].config), whole)
        actions = random.integers(0, 196 + stop, 3)
        (whole, *_, mine), (compact, *_, theirs) = (env.step(actions) for env in both)
        for ended, final in zip(
            mine.get("final_obs", []), theirs.get("final_obs", []), strict=True
        ):
            if ended is not None:
                batch = tensors({key: value[None] for key, value in final.items()})
                expanded = expand(batch, pictures, both[1].config)
                assert_same(expanded, {key: value[None] for key, value in ended.items()})


def test_oblong_grids_come_back_too(make_linear: Any, sample: Any) -> None:
    class Oblong(Subset):
        def __getitem__(self, i: int) -> images.Picture:
            picture = super().__getitem__(i)
            return picture._replace(image=picture.image[:, 40:104, 60:156])

    source = Oblong(sample, range(7))
    source.image_size = (64, 96)
    linear = make_linear((64, 96), 8, 1000)
    whole, compact = (
        SaccadeEnv(source, linear, observation=kind) for kind in ("tokens", "compact")
    )
    pictures = PatchCache(compact.source, compact.patch_size)
    for env in (whole, compact):
        env.reset(seed=1)
    for action in (0, 95, 41):
        mine, theirs = (env.step(action)[0] for env in (whole, compact))
        batch = tensors({key: value[None] for key, value in theirs.items()})
        expanded = expand(batch, pictures, config_of(compact.observation_space))
        assert_same(expanded, {key: value[None] for key, value in mine.items()})


def test_a_step_has_under_300_bytes(make_linear: Any, sample: Any) -> None:
    env = SaccadeEnv(sample, make_linear(num_classes=1000), observation="compact")
    observation, _ = env.reset(seed=0)
    assert sum(value.nbytes for value in observation.values()) == 8 + 25 + 20 + 8
    fine = SaccadeEnv(sample, make_linear(patch_size=8, num_classes=1000), observation="compact")
    assert sum(value.nbytes for value in fine.reset(seed=0)[0].values()) == 8 + 98 + 20 + 8


def test_it_says_what_was_done(linear: Any, sample: Any) -> None:
    env = SaccadeEnv(sample, linear, max_saccades=3, observation="compact")
    observation, _ = env.reset(options={"index": -2})
    assert observation["image"].tolist() == [5]
    assert observation["fixations"].tolist() == [[-1, -1]] * 3
    env.step(17)
    observation, *_ = env.step(0)
    assert observation["fixations"].tolist() == [[1, 3], [0, 0], [-1, -1]]
    assert observation["saccades_left"].tolist() == [1]
    bits = np.unpackbits(observation["revealed"], count=196).astype(bool)
    assert np.array_equal(bits, env.view.revealed.flatten().numpy())


@pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.parametrize("wrapper", [lambda env: env, BeliefObservation], ids=["bare", "belief"])
def test_env_checkers_pass(linear: Any, sample: Any, wrapper: Any) -> None:
    env = wrapper(SaccadeEnv(sample, linear, observation="compact", stop_action=True))
    check_env(env, skip_render_check=True)
    sb3_checker.check_env(env, skip_render_check=True)


def test_gymnasium_makes_it(linear: Any, sample: Any) -> None:
    keywords = {"images": sample, "classifier": linear, "observation": "compact"}
    single = gym.make(saccade_env.ENV_ID, **keywords)
    many = gym.make_vec(saccade_env.ENV_ID, 2, vectorization_mode="vector_entry_point", **keywords)
    one, two = single.reset(seed=4)[0], many.reset(seed=4)[0]
    assert one.keys() == {"image", "revealed", "fixations", "saccades_left"}
    for key, value in one.items():
        assert np.array_equal(two[key][0], value)
    assert single.unwrapped.observation == many.unwrapped.observation == "compact"


def test_observations_stay_as_they_were(linear: Any, sample: Any) -> None:
    env = SaccadeVectorEnv(2, sample, linear, max_saccades=2, observation="compact", workers=0)
    kept = []
    observation, _ = env.reset(seed=0)
    for action in range(5):
        kept.append((observation, {key: value.copy() for key, value in observation.items()}))
        observation, *_ = env.step(np.array([action, 100]))
    for now, then in kept:
        for key in then:
            np.testing.assert_array_equal(now[key], then[key])
    before = env.state.image_index.tolist()
    for value in observation.values():  # the caller's, to write to
        value[:] = 77
    assert env.state.image_index.tolist() == before
    assert env.state.fixations.max() < 77


def test_what_needs_pixels_is_refused(linear: Any, sample: Any) -> None:
    for build in (SaccadeEnv, lambda *a, **k: SaccadeVectorEnv(2, *a, **k)):
        env = build(sample, linear, observation="compact")
        with pytest.raises(ValueError, match="ImageObservation shows pixels.*'tokens'"):
            ImageObservation(env)
    with pytest.raises(ValueError, match="must be 'tokens' or 'compact'; got 'small'"):
        SaccadeEnv(sample, linear, observation="small")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"has \['fixations', 'image'\].*got \['fixation"):
        config_of(observation_space(SaccadeConfig(), 16))


def test_large_grids_keep_their_fixations() -> None:
    space = compact_space(SaccadeConfig((2, 300), fovea=1), 5)
    assert space["fixations"].dtype == np.int16
    assert config_of(space).grid == (2, 300)
    assert compact_space(SaccadeConfig((128, 128)), 5)["fixations"].dtype == np.int8
    assert config_of(compact_space(SaccadeConfig((128, 128)), 5)).grid == (128, 128)


def revealed(rows: int) -> torch.Tensor:
    return torch.ones(rows, 196, dtype=torch.bool)


def test_no_more_is_kept_than_was_asked_for(sample: Any) -> None:
    source = Counted(sample)
    pictures = PatchCache(source, 16, megabytes=3.9 * ONE, workers=0)
    whole = PatchCache(sample, 16, workers=0)
    assert (pictures.places, whole.places) == (3, 7)
    for asked in ([0, 1, 2], [0, 1, 0], [3, 0], [6, 5, 4, 3, 2, 1, 0, 6]):
        rows = torch.tensor(asked)
        shown = pictures.reveal(rows, revealed(len(asked)))
        assert torch.equal(shown, whole.reveal(rows, revealed(len(asked))))
        assert pictures.nbytes <= 3.9 * ONE * 1e6
    # [3, 0] took the place of 2, asked for longest ago.
    assert source.decoded[:4] == [0, 1, 2, 3]
    assert whole.nbytes == 7 * ONE * 1e6


def test_a_small_source_is_decoded_once(sample: Any) -> None:
    source = Counted(sample)
    pictures = PatchCache(source, 16)
    for _ in range(3):
        pictures.reveal(torch.arange(7).repeat(2), revealed(14))
    assert sorted(source.decoded) == [*range(7)]
    assert pictures.reveal(torch.arange(0), revealed(0)).shape == (0, 196, 768)


def test_what_is_no_picture_is_refused(sample: Any) -> None:
    pictures = PatchCache(sample, 16)
    for wrong in (7, -1):
        with pytest.raises(IndexError, match=rf"≥ 0 and < 7, .* of 'sample'; got \[{wrong}\]"):
            pictures.reveal(torch.tensor([0, wrong]), revealed(2))
    with pytest.raises(ValueError, match="megabytes must be ≥ 0.150528, one picture.* got 0.1"):
        PatchCache(sample, 16, megabytes=0.1)
    with pytest.raises(ValueError, match="multiple of the patch size 15"):
        PatchCache(sample, 15)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_is_named_and_spoils_no_other(sample: Any, workers: int) -> None:
    pictures = PatchCache(Counted(sample, broken=2), 16, megabytes=2.5 * ONE, workers=workers)
    pictures.reveal(torch.tensor([0, 1]), revealed(2))
    for _ in range(2):
        with pytest.raises(BrokenImageError, match="cannot read"):
            pictures.reveal(torch.tensor([2, 3]), revealed(2))
    shown = pictures.reveal(torch.tensor([1, 3, 0]), revealed(3))
    assert torch.equal(shown, PatchCache(sample, 16).reveal(torch.tensor([1, 3, 0]), revealed(3)))


def test_a_pickle_has_no_pictures_and_takes_no_others(sample: Any) -> None:
    pictures = PatchCache(sample, 16)
    shown = pictures.reveal(torch.tensor([4]), revealed(1))
    assert copy.deepcopy(pictures) is pictures
    written = pickle.dumps(pictures)
    assert len(written) < 500
    again = pickle.loads(written)
    with pytest.raises(RuntimeError, match="7 pictures of 'sample' are not saved"):
        again.reveal(torch.tensor([4]), revealed(1))
    again = pickle.loads(pickle.dumps(again))
    for other in (Subset(sample, [0, 1]), Subset(sample, [1, 0, 2, 3, 4, 5, 6])):
        with pytest.raises(ValueError, match=f"must be the 7 of .* got {len(other)} of 'sample'"):
            again.open(other)
    again.open(sample)
    assert torch.equal(again.reveal(torch.tensor([4]), revealed(1)), shown)
