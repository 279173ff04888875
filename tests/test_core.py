"""The rules: certainty, rewards, reveal, inhibition, stopping; batch = loop."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from saccade_env import core, rows
from saccade_env.config import RewardKind, Rules, SaccadeConfig

CONFIG = SaccadeConfig(max_saccades=6)


def start(classifier: Any, batch: int = 3, config: SaccadeConfig = CONFIG) -> core.State:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batch, 3, 224, 224), generator=generator, dtype=torch.uint8)
    labels = torch.arange(batch) % 5
    return core.begin(images, labels, torch.arange(batch), config, classifier)


def walk(classifier: Any, fixations: torch.Tensor, config: SaccadeConfig = CONFIG) -> list[Any]:
    state = start(classifier, fixations.shape[1], config)
    steps = []
    for fixation in fixations:
        before = state
        state, outcome = core.saccade(state, fixation, config, classifier)
        steps.append((before, state, outcome))
    return steps


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=50))
def test_certainty_is_one_minus_normalised_entropy(values: list[float]) -> None:
    logits = torch.tensor([values])
    p = logits.double().softmax(-1)[0].numpy()
    expected = 1 - entropy(p) / math.log(len(values))
    assert core.certainty(logits).item() == pytest.approx(expected, abs=1e-5)


def test_certainty_at_its_ends() -> None:
    assert core.certainty(torch.zeros(1, 1000)).item() == pytest.approx(0, abs=1e-6)
    sure = torch.zeros(1, 1000)
    sure[0, 3] = 200
    assert core.certainty(sure).item() == pytest.approx(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_certainty_is_finite_for_all_finite_logits(dtype: Any, classes: int) -> None:
    largest = torch.finfo(dtype).max
    logits = torch.full((3, classes), -largest, dtype=dtype)
    logits[0, 0], logits[2] = largest, largest
    expected = [1, 0, 0] if classes > 1 else [1, 1, 1]
    assert core.certainty(logits).tolist() == pytest.approx(expected, abs=1e-2)


@given(st.lists(st.floats(0, 10), min_size=12, max_size=12).filter(lambda v: sum(v) > 1e-3))
def test_map_entropy_in_bits(values: list[float]) -> None:
    saliency = torch.tensor(values).reshape(1, 3, 4)
    expected = entropy(saliency.double().flatten().numpy(), base=2)
    assert core.map_entropy(saliency).item() == pytest.approx(expected, abs=1e-4)


def test_map_entropy_flat_and_refused() -> None:
    flat = torch.stack([torch.zeros(14, 14), torch.full((14, 14), 0.5)])
    assert core.map_entropy(flat).tolist() == pytest.approx([math.log2(196)] * 2, abs=1e-5)
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite values ≥ 0"):
            core.map_entropy(torch.full((1, 2, 2), bad))


@given(
    st.lists(st.integers(0, 195), min_size=1, max_size=6),
    st.sampled_from([1, 3, 5, 13]),
)
@settings(deadline=None, max_examples=25)
def test_reveal_is_the_union_of_windows(linear: Any, path: list[int], fovea: int) -> None:
    config = replace(CONFIG, fovea=fovea)
    steps = walk(linear, torch.tensor(path)[:, None], config)
    expected, inhibition = torch.zeros(2, 14, 14, dtype=torch.bool)
    reach = fovea // 2
    for index in path:
        row, col = divmod(index, 14)
        rows, cols = (slice(max(at - reach, 0), at + reach + 1) for at in (row, col))
        expected[rows, cols] = inhibition[rows, cols] = True
        if inhibition.all():
            inhibition[:] = False
    final = steps[-1][1]
    assert torch.equal(final.revealed[0], expected)
    assert core.visible_share(final.revealed).item() == pytest.approx(expected.sum() / 196)
    assert final.fixations[0, : len(path)].tolist() == [list(divmod(i, 14)) for i in path]
    assert (final.fixations[0, len(path) :] == -1).all()
    assert final.saccades_done.item() == len(path)
    assert torch.equal(final.inhibition[0], inhibition)


def test_inhibition_opens_again_when_nothing_is_left(linear: Any) -> None:
    config = SaccadeConfig(fovea=13, max_saccades=6)
    corners = torch.tensor([[0], [13], [182], [195], [90]])
    steps = walk(linear, corners, config)
    opens = [bool(core.open_cells(after).all()) for _, after, _ in steps]
    assert opens == [False, False, False, True, False]
    assert steps[-1][1].revealed.all()


def test_hidden_tokens_change_nothing(linear: Any) -> None:
    """What is not revealed must not reach the classifier."""
    state = start(linear, 2)
    other = state.images.clone()
    other[:, :, :, 112:] = 255 - other[:, :, :, 112:]
    twin = core.begin(other, state.labels, state.image_index, CONFIG, linear)
    for index in (14, 59, 100):
        fixation = torch.full((2,), index)
        state, first = core.saccade(state, fixation, CONFIG, linear)
        twin, second = core.saccade(twin, fixation, CONFIG, linear)
        assert torch.equal(state.logits, twin.logits)
        assert torch.equal(first.reward, second.reward)


@pytest.mark.parametrize("kind", get_args(RewardKind))
def test_rewards_by_their_definition(linear: Any, kind: Any) -> None:
    config = replace(CONFIG, reward=kind, saccade_cost=0.125)
    generator = torch.Generator().manual_seed(3)
    fixations = torch.randint(0, 196, (6, 4), generator=generator)
    for before, after, outcome in walk(linear, fixations, config):
        for row in range(4):
            old, new = (
                value_of(kind, s.logits[row].double(), int(s.labels[row])) for s in (before, after)
            )
            level = kind in ("certainty", "correct")
            expected = new - (0 if level else old) - 0.125
            assert outcome.reward[row].item() == pytest.approx(expected, abs=1e-5)


def value_of(kind: str, logits: torch.Tensor, label: int) -> float:
    p = logits.softmax(-1)
    sure = 1 - entropy(p.numpy()) / math.log(len(p))
    right = float(p.argmax() == label)
    return {
        "certainty": sure,
        "certainty_gain": sure,
        "correct_certainty_gain": sure * right,
        "true_class_gain": float(p[label]),
        "true_class_log_gain": math.log(p[label]),
        "correct": right,
    }[kind]


def test_certainty_gain_telescopes(linear: Any) -> None:
    steps = walk(linear, torch.arange(0, 60).reshape(6, 10) * 3)
    total = sum(outcome.reward for _, _, outcome in steps)
    gained = steps[-1][1].certainty - steps[0][0].certainty
    torch.testing.assert_close(total, gained, atol=1e-6, rtol=0)
    assert gained.abs().max() > 0.01


def test_stop_ends_the_row_and_costs_nothing(linear: Any) -> None:
    config = replace(CONFIG, stop_action=True, saccade_cost=0.5)
    state = start(linear, 2, config)
    state, _ = core.saccade(state, torch.tensor([20, 30]), config, linear)
    after, outcome = core.saccade(state, torch.tensor([196, 40]), config, linear)
    assert outcome.terminated.tolist() == [True, False]
    assert outcome.reward[0] == 0
    assert after.saccades_done.tolist() == [1, 2]
    assert torch.equal(after.revealed[0], state.revealed[0])
    assert torch.equal(after.logits[0], state.logits[0])
    both, _ = core.saccade(state, torch.tensor([196, 196]), config, linear)
    assert torch.equal(both.logits, state.logits)


def test_the_budget_terminates(linear: Any) -> None:
    ends = [bool(outcome.terminated) for _, _, outcome in walk(linear, torch.arange(6)[:, None])]
    assert ends == [False] * 5 + [True]


def test_batch_equals_loop(linear: Any) -> None:
    fixations = torch.randint(0, 196, (6, 5), generator=torch.Generator().manual_seed(0))
    whole = start(linear, 5)
    alone = [rows.take_rows(whole, torch.tensor([row])) for row in range(5)]
    for fixation in fixations:
        whole, outcome = core.saccade(whole, fixation, CONFIG, linear)
        for row in range(5):
            alone[row], single = core.saccade(alone[row], fixation[row, None], CONFIG, linear)
            assert torch.equal(alone[row].revealed[0], whole.revealed[row])
            assert single.reward[0].item() == pytest.approx(outcome.reward[row].item(), abs=1e-5)
            torch.testing.assert_close(
                alone[row].logits[0], whole.logits[row], atol=1e-5, rtol=1e-5
            )


def test_rows_are_replaced_without_touching_the_old_state(linear: Any) -> None:
    old = start(linear, 4)
    fresh = rows.take_rows(start(linear, 4, CONFIG), torch.tensor([0, 1]))
    moved, _ = core.saccade(old, torch.full((4,), 77), CONFIG, linear)
    new = rows.replace_rows(moved, torch.tensor([1, 3]), fresh)
    assert new.saccades_done.tolist() == [1, 0, 1, 0]
    assert moved.saccades_done.tolist() == [1, 1, 1, 1]
    assert torch.equal(new.images[3], fresh.images[1])
    assert torch.equal(new.memory[3], fresh.memory[1])


def test_memory_may_be_nested_and_nothing_else() -> None:
    tree = {"keys": (torch.arange(3), [torch.eye(3)])}
    taken = rows.take_rows(tree, torch.tensor([2]))
    assert taken["keys"][0].tolist() == [2]
    assert taken["keys"][1][0].tolist() == [[0, 0, 1]]
    with pytest.raises(TypeError, match="must hold tensors; got str"):
        rows.take_rows(("text",), torch.tensor([0]))


def test_labels_are_checked_at_the_start(linear: Any, make_linear: Any) -> None:
    images = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    none, place = torch.tensor([core.UNLABELLED]), torch.tensor([0])
    state = core.begin(images, none, place, CONFIG, linear)
    assert core.true_class_probability(state).isnan().all()
    assert core.true_class_log_probability(state).isnan().all()
    assert not core.correct(state).any()
    with pytest.raises(ValueError, match="'correct' needs labelled images"):
        core.begin(images, none, place, replace(CONFIG, reward="correct"), linear)
    with pytest.raises(ValueError, match="label 9 is no class of 'linear', which has 7"):
        core.begin(images, torch.tensor([9]), place, CONFIG, make_linear(num_classes=7))


def test_nan_is_refused(linear: Any) -> None:
    state = start(linear)
    poisoned = state._replace(memory=state.memory * torch.nan)
    with pytest.raises(FloatingPointError, match="classifier 'linear' gave NaN or inf in rows"):
        core.saccade(poisoned, torch.tensor([1, 2, 3]), CONFIG, linear)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fovea": 4}, "fovea must be odd and ≤ 14; got 4"),
        ({"fovea": 15}, "fovea must be odd and ≤ 14; got 15"),
        ({"fovea": -1}, "got -1"),
        ({"fovea": 3.0}, "fovea must be odd and ≤ 14; got 3.0"),
        ({"max_saccades": 0}, "max_saccades must be a whole number ≥ 1; got 0"),
        ({"saccade_cost": -0.1}, "saccade_cost must be finite and ≥ 0; got -0.1"),
        ({"saccade_cost": math.nan}, "saccade_cost must be finite"),
        ({"reward": "certanty"}, "unknown reward 'certanty'. Did you mean 'certainty'"),
        ({"action": "tokens"}, "unknown action 'tokens'. Did you mean 'token'"),
        ({"action": "grid", "stop_action": True}, "stop_action needs action='token'"),
        ({"grid": (0, 3)}, "at least one row"),
        ({"fovea": True}, "fovea must be odd and ≤ 14; got True"),
        ({"fovea": "3"}, "fovea must be odd and ≤ 14; got 3"),
        ({"saccade_cost": "a"}, "saccade_cost must be finite and ≥ 0; got a"),
        ({"stop_action": "maybe"}, "stop_action must be true or false; got 'maybe'"),
    ],
)
def test_configuration_refuses_contradictions(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SaccadeConfig(**values)


def test_all_of_a_configuration_but_the_grid_may_be_set() -> None:
    assert {"grid", *Rules.__annotations__} == {field.name for field in fields(SaccadeConfig)}
