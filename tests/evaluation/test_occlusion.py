"""Occlusion on the token grid, against hiding one window after the other by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import core
from saccade_env.evaluation.occlusion import count, occlusion


@pytest.mark.parametrize("side", [1, 3])
def test_it_is_what_hiding_each_window_does(sample: Any, linear: Any, side: int) -> None:
    images = torch.stack([sample[0].image, sample[1].image])
    memory, revealed = linear.begin(images), torch.ones(2, 14, 14, dtype=torch.bool)
    revealed[1, :9] = False
    steps = list(occlusion(memory, revealed, linear, side, batch_size=50))
    lost, reach = steps[-1], side // 2
    assert len(steps) == count(revealed, 50) == 6
    whole = linear.classify(memory, revealed)[0]
    for row, place in ((0, (0, 0)), (0, (6, 7)), (1, (13, 2)), (1, (9, 13))):
        hidden = revealed.clone()
        top, left = (max(0, place[0] - reach), max(0, place[1] - reach))
        hidden[row, top : place[0] + reach + 1, left : place[1] + reach + 1] = False
        logits = linear.classify(memory, hidden)[0][row]
        before, after = core.certainty(whole)[row], core.certainty(logits[None])[0]
        best = int(whole[row].argmax())
        share = whole[row].softmax(-1)[best] - logits.softmax(-1)[best]
        torch.testing.assert_close(lost.certainty[(row, *place)], before - after)
        torch.testing.assert_close(lost.probability[(row, *place)], share)
    assert lost.certainty[1, :9].isnan().all()
    assert lost.certainty[0].isfinite().all()


def test_the_batch_size_changes_no_result(sample: Any, linear: Any) -> None:
    memory = linear.begin(sample[3].image[None])
    revealed = torch.ones(1, 14, 14, dtype=torch.bool)
    ends = [[*occlusion(memory, revealed, linear, 1, size)][-1] for size in (7, 196)]
    torch.testing.assert_close(*(end.certainty for end in ends))


@pytest.mark.parametrize(("wrong", "said"), [({"side": 2}, "odd"), ({"batch_size": 0}, "≥ 1")])
def test_wrong_numbers_are_refused(linear: Any, sample: Any, wrong: Any, said: str) -> None:
    memory = linear.begin(sample[0].image[None])
    with pytest.raises(ValueError, match=said):
        next(occlusion(memory, torch.ones(1, 14, 14, dtype=torch.bool), linear, **wrong))
