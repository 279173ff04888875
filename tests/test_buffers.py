"""Observations are the caller's: to keep, and to write to; arrays come back once let go."""

from __future__ import annotations

import pickle

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade_env import SaccadeEnv, SaccadeVectorEnv
from saccade_env.observe.tokens import TokenBuffers

ROWS, TOKENS, PIXELS = 3, 6, 4


def by_hand(patches: np.ndarray, revealed: np.ndarray) -> np.ndarray:
    return patches * revealed[..., None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["reveal", "restart row", "restart all", "keep"]), max_size=25))
def test_whatever_happens_the_tokens_are_the_revealed_ones(events: list[str]) -> None:
    random = np.random.default_rng(0)

    def pictures(rows: int) -> np.ndarray:
        return random.integers(1, 256, (rows, TOKENS, PIXELS), dtype=np.uint8)

    buffers, held = TokenBuffers(), []
    patches, revealed = pictures(ROWS), np.zeros((ROWS, TOKENS), bool)
    buffers.begin(patches.copy())
    for event in events:
        if event == "restart all":
            patches, revealed = pictures(ROWS), np.zeros_like(revealed)
            buffers.begin(patches.copy())
        elif event == "restart row":
            row = random.integers(ROWS, size=1)
            patches[row], revealed[row] = pictures(1), False
            buffers.replace(row, patches[row])
        else:
            revealed = revealed | (random.random(revealed.shape) < 0.3)
        shown = buffers.write(revealed)
        np.testing.assert_array_equal(shown, by_hand(patches, revealed))
        if event == "keep":
            held.append((shown[1:, ::2], shown[1:, ::2].copy()))  # a view holds it as well
        del shown
    for view, copy in held:
        np.testing.assert_array_equal(view, copy)


def test_an_array_nobody_holds_is_written_again() -> None:
    buffers = TokenBuffers()
    buffers.begin(np.ones((ROWS, TOKENS, PIXELS), np.uint8))
    nothing = np.zeros((ROWS, TOKENS), bool)
    places = {buffers.write(nothing).ctypes.data for _ in range(10)}
    assert len(places) == 1
    last, places = None, set()
    for _ in range(10):  # as SB3 does: the last one is still needed when the next one is made
        fresh = buffers.write(nothing)
        places.add(fresh.ctypes.data)
        last = fresh
    assert last is not None
    assert len(places) <= 3


def test_a_tensor_of_it_holds_it() -> None:
    buffers = TokenBuffers()
    buffers.begin(np.ones((ROWS, TOKENS, PIXELS), np.uint8))
    tensor = torch.from_numpy(buffers.write(np.zeros((ROWS, TOKENS), bool)))
    buffers.write(np.ones((ROWS, TOKENS), bool))
    assert not tensor.any()


def test_observations_of_a_whole_run_stay_as_they_were(linear, sample) -> None:
    env = SaccadeVectorEnv(4, images=sample, classifier=linear, max_saccades=3, stop_action=True)
    observation, _ = env.reset(seed=0)
    kept = [(observation, {key: value.copy() for key, value in observation.items()})]
    random = np.random.default_rng(0)
    for _ in range(12):
        observation, _, _, _, infos = env.step(random.integers(150, 197, 4))
        ended = [final for final in infos.get("final_obs", []) if final is not None]
        for one in (observation, *ended):
            kept.append((one, {key: np.copy(value) for key, value in one.items()}))
    assert len(kept) > 13, "episodes ended"
    for now, then in kept:
        for key in then:
            np.testing.assert_array_equal(now[key], then[key])


def test_writing_to_an_observation_changes_nothing_else(linear, sample) -> None:
    envs = [SaccadeVectorEnv(3, images=sample, classifier=linear) for _ in range(2)]
    random = np.random.default_rng(0)
    shown = [env.reset(seed=0)[0] for env in envs]
    for _ in range(13):
        np.testing.assert_array_equal(shown[0]["tokens"], shown[1]["tokens"])
        shown[0]["tokens"][shown[0]["revealed"] == 0] = 127
        actions = random.integers(0, 196, 3)
        stepped = [env.step(actions) for env in envs]
        shown = [one[0] for one in stepped]
        np.testing.assert_array_equal(stepped[0][1], stepped[1][1])
        stepped[0][4]["label"][:] = 3


def test_environments_are_pickled_without_their_buffers(linear, sample) -> None:
    env = SaccadeEnv(sample, linear)
    env.reset(seed=0)
    env.step(0)
    twin = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(env.step(50)[0]["tokens"], twin.step(50)[0]["tokens"])
