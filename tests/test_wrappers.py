"""Other observations show what they say, and belong to the right picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saccade_env import (
    ImageObservation,
    PeripheryObservation,
    SaccadeEnv,
    SaccadeVectorEnv,
    SaliencyObservation,
    policies,
)


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
