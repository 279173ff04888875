"""A person's trial: the one transition, a budget, a clock; scores that mean what they say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import core, policies
from saccade_env.app import trial as trials
from saccade_env.app.score import score as scored
from saccade_env.app.studio import Asked, Studio
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.rollout import follow

CONFIG = SaccadeConfig(max_saccades=4)
PLACES = ((6, 7), (0, 0), (13, 13), (2, 9))


@pytest.fixture
def studio(sample: Any, linear: Any) -> Studio:
    builds = {name: lambda grid, name=name: policies.create(name, grid=grid)
              for name in ("random", "centre", "greedy-oracle")}  # fmt: skip
    return Studio(sample, {"linear": linear}, builds, CONFIG)


@pytest.fixture
def visitor() -> trials.Visit:
    return trials.visit([3, 5])


def looked(studio: Studio, visitor: trials.Visit, *places: tuple[int, int]) -> trials.Visit:
    for row, col in places:
        assert visitor.trial is not None
        visitor = visitor._replace(trial=trials.look(studio, visitor.trial, row, col))
    return visitor


def test_a_person_makes_the_saccades_of_a_policy(studio: Studio, visitor: Any, linear: Any) -> None:
    class Same:
        name, sees_full_image = "same", False

        def reset(self, images: Any) -> None: ...

        def act(self, view: Any) -> Any:
            row, col = PLACES[int(view.saccades_done[0])]
            return torch.tensor([14 * row + col])

    done = looked(studio, trials.begin(studio, visitor, "linear", None), *PLACES).trial
    picture = studio.source[3]
    states = follow(picture.image[None], torch.tensor([picture.label]), Same(), CONFIG, linear)
    assert done.ended == "budget"
    for mine, theirs in zip(done.states, states, strict=True):
        torch.testing.assert_close(mine.logits, theirs.logits)
        assert torch.equal(mine.fixations, theirs.fixations)
        assert torch.equal(mine.revealed, theirs.revealed)


def test_what_comes_after_the_end_changes_nothing(studio: Studio, visitor: Any) -> None:
    running = trials.begin(studio, visitor, "linear", None)
    stopped = trials.stop(looked(studio, running, (1, 1)).trial)
    assert (stopped.ended, stopped.saccades) == ("stop", 1)
    assert trials.look(studio, stopped, 5, 5) is stopped
    assert trials.stop(stopped) is stopped


@pytest.mark.parametrize(
    "place", [(-1, 0), (14, 0), (0, 14), (None, 0), (0.5, 0), (True, 0), ("1", 1)]
)
def test_what_is_no_token_is_refused(studio: Studio, visitor: Any, place: Any) -> None:
    running = trials.begin(studio, visitor, "linear", None).trial
    with pytest.raises(ValueError, match="rows 0 to 13 and columns 0 to 13"):
        trials.look(studio, running, *place)


def test_the_clock_ends_a_trial(
    studio: Studio, visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(trials, "_now", lambda: now[0])
    running = trials.begin(studio, visitor, "linear", 10.0)
    now[0] += 2.5
    running = looked(studio, running, (1, 1))
    assert running.trial.seconds == (2.5,)
    assert running.trial.left == 7.5
    now[0] += 20
    late = trials.look(studio, running.trial, 5, 5)
    assert (late.ended, late.saccades) == ("time", 1)
    assert trials.stop(running.trial).ended == "time"


@pytest.mark.parametrize(
    ("told", "kept"),
    [(1.5, 1.5), (None, 2.5), ("1", 2.5), (-1, 2.5), (99, 2.5), (float("nan"), 2.5)],
)
def test_the_browsers_clock_is_believed_where_it_can_be(
    studio: Studio, visitor: Any, monkeypatch: pytest.MonkeyPatch, told: Any, kept: float
) -> None:
    now = [100.0]
    monkeypatch.setattr(trials, "_now", lambda: now[0])
    running = trials.begin(studio, visitor, "linear", None).trial
    now[0] += 2.5
    running = trials.look(studio, running, 1, 1, told)
    assert running.seconds == (kept,)
    now[0] += 1
    assert trials.look(studio, running, 2, 2, 1.0).seconds == (kept, 3.5), "time went backwards"


def test_nothing_hidden_leaves_the_machine(studio: Studio, visitor: Any) -> None:
    running = trials.begin(studio, visitor, "linear", None)
    assert (trials.seen(running.trial) == trials.HIDDEN).all()
    after = looked(studio, running, (4, 4)).trial
    shown, whole = trials.seen(after), studio.source[3].image
    window = torch.zeros(224, 224, dtype=torch.bool)
    window[48:96, 48:96] = True
    assert torch.equal(shown[:, window], whole[:, window])
    assert (shown[:, ~window] == trials.HIDDEN).all()


def test_a_visitor_sees_each_picture_once_and_is_told_apart(studio: Studio, visitor: Any) -> None:
    first = trials.begin(studio, visitor, "linear", None)
    second = trials.begin(studio, first, "linear", None)
    shown = [one.trial.asked.picture.id for one in (first, second)]
    assert shown == [studio.source.id(3), studio.source.id(5)]
    assert trials.begin(studio, second, "linear", None).trial is None
    assert len({trials.visit([]).subject for _ in range(50)}) == 50


def test_fixations_are_rows_of_the_trial(studio: Studio, visitor: Any) -> None:
    done = looked(studio, trials.begin(studio, visitor, "linear", None), *PLACES)
    rows = trials.fixations(done)
    assert [(row["row"], row["col"]) for row in rows] == list(PLACES)
    assert [row["order"] for row in rows] == [1, 2, 3, 4]
    assert {row["image"] for row in rows} == {studio.source.id(3)}
    assert {row["ended"] for row in rows} == {"budget"}
    assert trials.fixations(visitor) == []


def test_the_order_is_the_seeds(sample: Any) -> None:
    assert sorted(trials.ordered(sample, None, None, 1)) == list(range(7))
    assert trials.ordered(sample, None, None, 1) == trials.ordered(sample, None, None, 1)
    assert trials.ordered(sample, None, None, 1) != trials.ordered(sample, None, None, 2)
    assert len(trials.ordered(sample, None, 3, 1)) == 3
    listed = [sample.id(6), sample.id(2)]
    assert sorted(trials.ordered(sample, listed, None, 1)) == [2, 6]
    with pytest.raises(ValueError, match="no picture of 'sample' is called 'nobody'"):
        trials.ordered(sample, ["nobody"], None, 1)
    with pytest.raises(ValueError, match="listed twice"):
        trials.ordered(sample, listed * 2, None, 1)


def test_a_score_is_certainty_where_right(studio: Studio) -> None:
    asked = Asked(studio.source[3], "linear", (), 3, 4)
    for name in ("random", "greedy-oracle"):
        run = studio.run(asked, name)
        for after in range(5):
            state, score = run.states[after], scored(run, after)
            right = bool(core.correct(state)[0])
            assert score.score == pytest.approx(100 * float(state.certainty[0]) * right)
            assert (score.saccades, score.right) == (after, right)
    unknown = studio.run(asked._replace(picture=studio.source[3]._replace(label=None)), "random")
    last = scored(unknown, 4)
    assert last.right is None
    assert last.score == pytest.approx(100 * float(unknown.states[4].certainty[0]))


def test_a_picture_that_cannot_be_read_is_passed_over(studio: Studio, visitor: Any) -> None:
    from saccade_env.images import BrokenImageError

    picture = studio.picture

    def broken(where: str, place: int, classifier: str) -> Any:
        if place == 3:
            raise BrokenImageError("cannot read it")
        return picture(where, place, classifier)

    studio.picture = broken  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="skipped: cannot read it"):
        begun = trials.begin(studio, visitor, "linear", None)
    assert (begun.done, begun.trial.asked.picture.id) == (2, studio.source.id(5))
