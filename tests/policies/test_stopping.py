"""The stopping rule in core and environments, and the curve that records promise of it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from saccade_env import SaccadeEnv, SaccadeVectorEnv, core, policies
from saccade_env.card import describe_policy
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, rollout, stopping_curve
from saccade_env.policies import StopWhenCertain

SACCADES = 6
CONFIG = SaccadeConfig(max_saccades=SACCADES, stop_action=True)
THRESHOLDS = (0.0, 0.02, 0.05, 0.1, 0.2, 1.0)  # the linear classifier is seldom certain


@pytest.fixture(scope="module")
def episodes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 256, (9, 3, 14, 14), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(16, 2).repeat_interleave(16, 3), torch.arange(9) % 7


@pytest.fixture(scope="module")
def small(make_linear: Any) -> Any:
    classifier = make_linear()
    classifier.matrix = classifier.matrix * 1.5  # its certainty rises and falls
    return classifier


def played(
    episodes: Any, classifier: Any, policy: Any, config: SaccadeConfig = CONFIG
) -> core.State:
    """The last state of every episode, by the transition alone."""
    images, labels = episodes
    state = core.begin(images, labels, torch.arange(len(images)), config, classifier)
    policy.reset(images)
    over = torch.zeros(len(images), dtype=torch.bool)
    for _ in range(config.max_saccades):
        if over.all():
            break
        state, outcome = core.saccade(state, policy.act(core.view(state)), config, classifier)
        over |= outcome.terminated
    return state


@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("name", ["random", "centre"])
def test_the_curve_of_records_is_what_stopping_gives(
    episodes: Any, small: Any, name: str, patience: int
) -> None:
    config = replace(CONFIG, stop_action=False)
    records = records_of(rollout(*episodes, policies.create(name), config, small), episodes[1])
    curve = stopping_curve(records, THRESHOLDS, patience)
    assert curve["threshold"].tolist() == list(THRESHOLDS)
    assert curve["saccades"].nunique() > 3, "the thresholds differ in what they do"
    for _, point in curve.iterrows():
        rule = StopWhenCertain(policies.create(name), point["threshold"], patience)
        state = played(episodes, small, rule)
        assert float(core.correct(state).float().mean()) == pytest.approx(point["accuracy"])
        assert float(state.saccades_done.float().mean()) == pytest.approx(point["saccades"])
        visible = float(core.visible_share(state.revealed).mean())
        assert visible == pytest.approx(point["visible_share"])
    assert curve["saccades"].iloc[0] == patience
    assert curve["saccades"].iloc[-1] == SACCADES


def records_of(result: Any, labels: torch.Tensor) -> pd.DataFrame:
    images, saccades = result.prediction.shape
    return pd.DataFrame(
        {
            "image": np.repeat(np.arange(images), saccades),
            "label": np.repeat(labels.numpy(), saccades),
            "policy": "p",
            "saccade": np.tile(np.arange(1, saccades + 1), images),
            "correct": result.correct.ravel(),
            "certainty": result.certainty.ravel(),
            "visible_share": result.visible_share.ravel(),
        }
    )


def test_it_does_not_depend_on_batches_and_pickles(episodes: Any, small: Any) -> None:
    rule = StopWhenCertain(policies.create("centre"), 0.1)
    whole = played(episodes, small, rule)
    assert whole.saccades_done.unique().numel() > 1, "episodes end apart"
    rows = slice(3, 6)
    part = played((episodes[0][rows], episodes[1][rows]), small, rule)
    assert torch.equal(part.fixations, whole.fixations[rows])
    again = pickle.loads(pickle.dumps(rule))
    assert torch.equal(played(episodes, small, again).fixations, whole.fixations)


def test_a_stopped_episode_stays_as_it_was(episodes: Any, small: Any) -> None:
    result = rollout(*episodes, StopWhenCertain(policies.create("centre"), 0.3), CONFIG, small)
    stopped = result.scanpath[:, -1, 0] < 0
    assert 0 < stopped.sum() < len(stopped)
    for row in stopped.nonzero()[0]:
        made = int((result.scanpath[row, :, 0] >= 0).sum())
        assert result.certainty[row, made - 1] >= 0.3
        assert (result.certainty[row, : made - 1] < 0.3).all()
        assert (result.certainty[row, made:] == result.certainty[row, made - 1]).all()


def test_asking_twice_counts_once(episodes: Any, small: Any) -> None:
    images, labels = episodes
    state = core.begin(images, labels, torch.arange(9), CONFIG, small)
    rule = StopWhenCertain(policies.create("centre"), 0.0, patience=2)
    rule.reset(images)
    for expected in (False, False, True):  # saccades made: 0, 1, 2
        for _ in range(3):
            fixation = rule.act(core.view(state))
            assert (fixation == CONFIG.num_tokens).all() == expected
        state, _ = core.saccade(state, fixation, CONFIG, small)


def test_environments_stop(linear: Any, sample: Any) -> None:
    options = {"max_saccades": 4, "stop_action": True}
    env = SaccadeEnv(sample, linear, **options)
    rule = StopWhenCertain(policies.create("centre"), 0.0, patience=2)
    env.reset(seed=0)
    env.reset_policy(rule)
    over, steps = False, 0
    while not over:
        *_, over, _, _ = env.step(int(rule.act(env.view)[0]))
        steps += 1
    assert (steps, int(env.view.saccades_done[0])) == (3, 2), "two saccades and the stop"
    vector = SaccadeVectorEnv(3, images=sample, classifier=linear, **options)
    vector.reset(seed=0)
    vector.reset_policy(rule)
    lengths = []
    for _ in range(6):  # the rows start anew, and are counted anew
        fixation = rule.act(vector.view)
        lengths.append((fixation == vector.config.num_tokens).tolist())
        vector.step(fixation.numpy())
    assert lengths == [[False] * 3, [False] * 3, [True] * 3] * 2


def test_an_oracle_may_stop_too(episodes: Any, small: Any) -> None:
    rule = StopWhenCertain(policies.create("greedy-oracle", stride=5), 0.1)
    result = rollout(*episodes, rule, CONFIG, small)
    assert rule.sees_label
    assert (result.scanpath[:, -1] < 0).any()
    described = describe_policy(rule)
    assert (described["sees_label"], described["policy"]["stride"]) == (True, 5)


def test_misuse_is_named(episodes: Any, small: Any, linear: Any, sample: Any) -> None:
    centre = policies.create("centre")
    with pytest.raises(ValueError, match="threshold must be a certainty, 0 to 1; got 1.5"):
        StopWhenCertain(centre, 1.5)
    with pytest.raises(ValueError, match="patience must be ≥ 1; got 0"):
        StopWhenCertain(centre, 0.5, 0)
    state = core.begin(*episodes, torch.arange(9), CONFIG, small)
    with pytest.raises(RuntimeError, match="must be reset before act"):
        StopWhenCertain(centre, 0.5).act(core.view(state))
    with pytest.raises(ValueError, match="'centre-until-0' stops, and the task has no stop action"):
        evaluate([StopWhenCertain(centre, 0.0)], sample, linear, progress=False)
