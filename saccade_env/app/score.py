"""How well a person or a policy did on one picture."""

from __future__ import annotations

from typing import NamedTuple

from saccade_env import core
from saccade_env.drawing.scanpaths import Run


class Score(NamedTuple):
    """How well somebody did on one picture after so many saccades."""

    name: str
    sees: str
    saccades: int  # made by then; fewer where it stopped
    score: float  # 0 to 100: certainty, and 0 where the prediction is wrong
    right: bool | None  # None without a label
    first_right: int | None  # saccade
    prediction: int
    certainty: float


def score(run: Run, after: int) -> Score:
    """Score a scanpath after ``after`` saccades, or as many as it has.

    The score is what agents are trained for (reward ``"correct_certainty_gain"``) times 100;
    without a label it is certainty alone.
    """
    states = run.states[: after + 1]
    last = states[-1]
    labelled = int(last.labels[0]) != core.UNLABELLED
    right = [bool(core.correct(state)[0]) for state in states]
    return Score(
        run.name,
        run.sees,
        int(last.saccades_done[0]),
        100 * float(last.certainty[0]) * (right[-1] or not labelled),
        right[-1] if labelled else None,
        next((number for number, hit in enumerate(right) if hit and number), None),
        int(last.logits[0].argmax()),
        float(last.certainty[0]),
    )
