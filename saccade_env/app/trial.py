"""A person looks: one trial is one picture, hidden but for what was looked at.

The same transition as everywhere (:func:`saccade_env.core.saccade`), only that who chooses the
fixation sits in front of a screen. Times are in seconds.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from saccade_env import core, geometry, images
from saccade_env.app.studio import SOURCE, Asked, Studio
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.frame import GREY
from saccade_env.drawing.scanpaths import Run
from saccade_env.images import BrokenImageError, ImageSource

PERSON = "you"
HIDDEN = GREY[0]  # level of what was not looked at
_LATE = 15.0  # seconds that a look in time may need to get here, on a machine that is busy


class Trial(NamedTuple):
    """What a person has done with one picture so far."""

    asked: Asked
    config: SaccadeConfig
    states: tuple[core.State, ...]  # before the first saccade, and after each
    seconds: tuple[float, ...]  # of every saccade, since the picture appeared
    begun: float  # time.monotonic()
    started: str  # the same as a date and time, UTC
    timer: float | None  # how long it may take
    ended: Literal["", "budget", "stop", "time"] = ""

    @property
    def saccades(self) -> int:
        """How many were made."""
        return len(self.seconds)

    @property
    def left(self) -> float | None:
        """Seconds left, None without a timer."""
        return None if self.timer is None else max(0.0, self.timer - _now() + self.begun)

    @property
    def run(self) -> Run:
        """The person's scanpath beside those of policies."""
        return Run(PERSON, self.states, "no")


def now_utc() -> str:
    """The time of day, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Visit(NamedTuple):
    """One visitor: a name drawn at random, and the pictures that are still to come."""

    subject: str
    order: tuple[int, ...]  # places in the page's images
    done: int = 0  # trials begun
    trial: Trial | None = None


def visit(order: Sequence[int]) -> Visit:
    """A new visitor. A visitor sees no picture twice: a CSV of fixations must tell them apart."""
    return Visit(uuid.uuid4().hex[:12], tuple(order))


def ordered(
    source: ImageSource, listed: Sequence[str] | None, trials: int | None, seed: int
) -> list[int]:
    """Places of the pictures to show, in an order drawn by a seed: the same for every visitor.

    Args:
        source: The page's images.
        listed: Ids of those to show, None for all.
        trials: How many at most.
        seed: Draws the order.

    Raises:
        ValueError: An id is no picture's, or comes twice.
    """
    places = list(range(len(source)))
    if listed is not None:
        known = {source.id(place): place for place in places}
        if wrong := [image for image in listed if image not in known]:
            raise ValueError(
                f"no picture of {source.name!r} is called {wrong[0]!r} ({len(wrong)} such); ids "
                f"are as in the records: {source.id(0)!r}, for example"
            )
        if len(set(listed)) < len(listed):
            raise ValueError("a picture is listed twice; each is shown once")
        places = [known[image] for image in listed]
    shuffled = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed)).tolist()
    return [places[place] for place in shuffled[:trials]]


def begin(studio: Studio, visitor: Visit, classifier: str, timer: float | None) -> Visit:
    """Begin the visitor's next picture; there is no trial if none is left.

    Warns:
        UserWarning: A picture cannot be read, and the one after it is taken.
    """
    if visitor.done >= len(visitor.order):
        return visitor._replace(trial=None)
    place = visitor.order[visitor.done]
    try:
        picture = studio.picture(SOURCE, place, classifier)
    except BrokenImageError as error:
        warnings.warn(f"skipped: {error}", stacklevel=2)
        return begin(studio, visitor._replace(done=visitor.done + 1), classifier, timer)
    usual = studio.config
    asked = Asked(picture, classifier, (), usual.fovea, usual.max_saccades)
    config = studio.task(asked)
    pixels, labels = images.stack([picture])
    start = core.begin(
        pixels, labels, torch.tensor([place]), config, studio.opened(classifier).judge
    )
    trial = Trial(asked, config, (start,), (), _now(), now_utc(), timer)
    return visitor._replace(done=visitor.done + 1, trial=trial)


def look(studio: Studio, trial: Trial, row: int, col: int, seconds: Any = None) -> Trial:
    """Look at a token; what comes after the end changes nothing.

    Args:
        studio: Knows the classifier.
        trial: Not over.
        row: Of the token.
        col: Likewise.
        seconds: Since the picture appeared on the screen, as the browser measured it. What it
            cannot be is replaced by the time since the trial was begun here.

    Raises:
        ValueError: There is no such token.
    """
    rows, cols = trial.config.grid
    if not (_whole(row) and _whole(col) and 0 <= row < rows and 0 <= col < cols):
        raise ValueError(f"There are rows 0 to {rows - 1} and columns 0 to {cols - 1}.")
    if trial.ended:
        return trial
    spent = _now() - trial.begun
    last = trial.seconds[-1] if trial.seconds else 0.0
    told = seconds if isinstance(seconds, int | float) and last <= seconds <= spent else spent
    if trial.timer is not None and not (told <= trial.timer and spent <= trial.timer + _LATE):
        return trial._replace(ended="time")
    judge = studio.opened(trial.asked.classifier).judge
    token = geometry.row_col_to_index(torch.tensor([[row, col]]), trial.config.grid)
    with torch.no_grad():
        state, outcome = core.saccade(trial.states[-1], token, trial.config, judge)
    made = (*trial.seconds, round(told, 3))
    after = trial._replace(states=(*trial.states, state), seconds=made)
    return after._replace(ended="budget") if bool(outcome.terminated[0]) else after


def stop(trial: Trial) -> Trial:
    """End a trial because the person says so, or because the time is over."""
    if trial.ended:
        return trial
    return trial._replace(ended="time" if trial.left == 0 else "stop")


def fixations(visitor: Visit) -> list[dict[str, Any]]:
    """A row a fixation of the visitor's trial, as :mod:`.fixation_file` takes them."""
    trial = visitor.trial
    if trial is None:
        return []
    shared = {
        "image": trial.asked.picture.id,
        "subject": visitor.subject,
        "trial": visitor.done,
        "started": trial.started,
        "ended": trial.ended,
        "label": int(trial.states[0].labels[0]),
    }
    made = trial.states[-1].fixations[0, : trial.saccades].tolist()
    return [
        {
            **shared,
            "order": number,
            "row": row,
            "col": col,
            "seconds": trial.seconds[number - 1],
            "prediction": int(trial.states[number].logits[0].argmax()),
            "certainty": round(float(trial.states[number].certainty[0]), 6),
        }
        for number, (row, col) in enumerate(made, start=1)
    ]


def seen(trial: Trial) -> UInt8[Tensor, "3 height width"]:
    """The picture with everything grey that was not looked at: all that a browser ever gets."""
    state = trial.states[-1]
    patch = state.images.shape[-1] // trial.config.grid[1]
    mask = geometry.to_pixels(state.revealed, patch)[0]
    return torch.where(mask, state.images[0], torch.full_like(state.images[0], HIDDEN))


def _now() -> float:
    return time.monotonic()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
