"""One batch under one policy: what a policy may answer, and rows that have stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saccade_env import images, policies
from saccade_env.config import SaccadeConfig
from saccade_env.core import View
from saccade_env.evaluation import evaluate, rollout
from saccade_env.evaluation.agreement import Replay
from saccade_env.images.derived import Subset

N = 196


class Scripted:
    """Answers a row of its script a saccade, whatever it sees."""

    name, sees_full_image = "scripted", False

    def __init__(self, script: Any) -> None:
        self.script, self.asked = script, list[int]()

    def reset(self, images: Tensor) -> None:
        self.asked = []

    def act(self, view: View) -> Any:
        self.asked.append(len(view.certainty))
        answer = self.script
        return torch.tensor(answer[len(self.asked) - 1]) if isinstance(answer, list) else answer


def test_a_stopped_row_stays_as_it_was(sample: Any, linear: Any) -> None:
    pictures, labels = images.load_batch(sample, range(2))
    # Of a row that has stopped anything goes.
    policy = Scripted([[30, 40], [N, 60], [5, 65], [-1, 70], [10**9, 75]])
    task = SaccadeConfig(max_saccades=5, stop_action=True)
    result = rollout(pictures, labels, policy, task, linear)
    assert policy.asked == [2] * 5
    assert result.scanpath[0].tolist() == [[2, 2], *[[-1, -1]] * 4]
    assert (result.scanpath[1] >= 0).all()
    for values in result[1:-1]:
        assert (values[0] == values[0, 0]).all()
    alone = rollout(
        pictures[1:], labels[1:], Scripted([[40], [60], [65], [70], [75]]), task, linear
    )
    assert (alone.scanpath[0] == rollout(pictures, labels, policy, task, linear).scanpath[1]).all()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.tensor([3, -1]), r"≥ 0 and < 196; got \[-1\] in rows \[1\]"),
        (torch.tensor([3, 197]), r"got \[197\] in rows \[1\]"),
        (torch.tensor([3, N]), "stops, and the task has no stop action"),
        (torch.tensor([3]), r"of shape \(2,\).*got torch.int64 of shape \(1,\)"),
        (torch.tensor([[3], [4]]), r"got torch.int64 of shape \(2, 1\)"),
        (torch.tensor([True, False]), "got torch.bool"),
        (torch.tensor([3.0, 4.0]), "got torch.float32"),
        (torch.tensor([3, 4], device="meta"), "on meta"),
        (np.array([3, 4]), "got ndarray"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_fixation_is_refused(
    answer: Any, message: str, sample: Any, linear: Any
) -> None:
    pictures, labels = images.load_batch(sample, range(2))
    with pytest.raises(ValueError, match=f"policy 'scripted' .*{message}"):
        rollout(pictures, labels, Scripted(answer), SaccadeConfig(), linear)


def test_any_whole_numbers_are_fixations(sample: Any, linear: Any) -> None:
    source, task = Subset(sample, [0]), SaccadeConfig(max_saccades=1)
    for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64):
        policy = Scripted(torch.tensor([100], dtype=dtype))
        records = evaluate([policy], source, linear, task, progress=False).records
        assert records[["row", "col"]].values.tolist() == [[7, 2]]


@pytest.mark.slow
def test_map_entropy_is_a_column_that_is_asked_for(sample: Any, linear: Any, tmp_path: Any) -> None:
    class Mapless(Scripted):
        def act(self, view: View) -> Any:
            return torch.ones(len(view.certainty), dtype=torch.long)

    named = [policies.create("random"), policies.create("centre"), Mapless(None)]
    task = SaccadeConfig(max_saccades=2)
    plain = evaluate(named, sample, linear, task, progress=False).records
    for _ in ("made", "read again"):
        records = evaluate(
            named, sample, linear, task, progress=False, map_entropy=True, out=tmp_path
        ).records
        known = records["policy"] == "random"  # the centre's map is below 0, and the last has none
        assert records.loc[known, "map_entropy"].between(7, np.log2(N)).all()
        assert records.loc[~known, "map_entropy"].isna().all()
        assert (records.groupby(["image", "policy"])["map_entropy"].nunique() <= 1).all()
        assert records.drop(columns="map_entropy").equals(plain)
    with pytest.raises(FileExistsError, match="with other map_entropy"):
        evaluate(named, sample, linear, task, progress=False, out=tmp_path)


def test_a_replay_is_the_same_rollout(sample: Any, linear: Any) -> None:
    pictures, labels = images.load_batch(sample, range(3))
    stopping = Scripted([[7, 30, N], [N, 31, 0], [3, 45, 0]])
    for policy, stops in ((policies.create("random"), False), (stopping, True)):
        task = SaccadeConfig(max_saccades=3, stop_action=stops)
        made = rollout(pictures, labels, policy, task, linear)
        again = rollout(pictures, labels, Replay(made.scanpath, task), task, linear)
        for values, repeated in zip(made, again, strict=True):
            assert np.array_equal(values, repeated)
