"""A statement of the paper, how its effect is measured, and the rule of the verdict.

The statements themselves, with their measures, stand beside the figure that shows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import FEWEST, Interval, percentiles, resamples
from saccade_env.evaluation.metrics.tables import by_image, cell
from saccade_env.paper.results import (
    ATTENTION,
    MAIN,
    PAPERS,
    SAMPLES,
    SIZES,
    NotRunError,
    Results,
    name_of,
    number,
    of_policies,
)

Verdict = Literal["yes", "no", "cannot tell"]
Side = Literal["above", "below", "within"]
RULE = (
    "Yes: the 95 % interval lies on the statement’s side of 0, or of the margin that the note "
    "names (margins are this project’s, the paper gives none). No: it lies on the other side. "
    "Cannot tell: it holds both, the experiment or the policy is missing, or there are fewer than "
    f"{FEWEST} images. Of a statement about every saccade it is the interval of the weakest one, "
    "widened for choosing it among all (Bonferroni)."
)


@dataclass(frozen=True)
class Finding:
    """One statement of the paper, and whether it holds here.

    Args:
        key: A short name, for programs.
        statement: What the paper says, in one sentence.
        source: Its figure; a link if it names a section's ``key``.
        effect: The measured size of it, in ``unit``; None if there is none.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        unit: Of the three numbers, such as ``points``.
        verdict: Does it hold: ``yes``, ``no`` or ``cannot tell``.
        note: Why, or what to beware of; may be empty.

    Raises:
        ValueError: The verdict is another word.
    """

    key: str
    statement: str
    source: str
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    verdict: Verdict
    note: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {get_args(Verdict)}; got {self.verdict!r}")


class Measured(NamedTuple):
    """An effect, from how many images, and what to know about it."""

    interval: Interval
    images: int
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper.

    Attributes:
        key: A short name.
        statement: In terms of roles, not of policies.
        unit: Of the effect.
        measure: Effect in the results; raises :class:`NotRunError` where there is none.
        roles: Parts that policies play in it.
        side: Where the statement says that the effect lies: ``above`` or ``below`` the margin, or
            ``within`` it of 0.
        margin: In the unit.
    """

    key: str
    statement: str
    unit: str
    measure: Callable[[Results], Measured]
    roles: tuple[str, ...]
    side: Side = "above"
    margin: float = 0.0


def judge(claim: Claim, results: Results, source: str) -> Finding:
    """Measure the effect and hold it against the statement, which stands in ``source``."""
    try:
        (effect, low, high), images, note = claim.measure(results)
    except NotRunError as error:
        note = _sentences(f"{error}")
        return Finding(
            claim.key, claim.statement, source, None, None, None, claim.unit, "cannot tell", note
        )
    verdict = verdict_of(Interval(effect, low, high), claim.side, claim.margin)
    few = f"there are only {images} such images" if images < FEWEST else ""
    verdict = "cannot tell" if few else verdict
    mean, start, end = (x if math.isfinite(x) else None for x in (effect, low, high))
    note = _sentences(few, note, _margin(claim), _stand_ins(claim, results))
    return Finding(claim.key, claim.statement, source, mean, start, end, claim.unit, verdict, note)


def verdict_of(interval: Interval, side: Side, margin: float = 0.0) -> Verdict:
    """The verdict by :data:`RULE`; an interval that is not known tells nothing."""
    _, low, high = interval
    if side == "below":
        low, high, margin = -high, -low, -margin
    if side == "within":
        holds, fails = -margin < low and high < margin, low > margin or high < -margin
    else:
        holds, fails = low > margin, high < margin
    return "yes" if holds else "no" if fails else "cannot tell"


def of_images(values: pd.Series, note: str = "", factor: float = 100) -> Measured:
    """The mean of one value an image."""
    found = metrics.interval(factor * values, SAMPLES)
    return Measured(found, int(values.notna().sum()), note)


def weakest(values: pd.DataFrame, factor: float = 100) -> Measured:
    """The saccade at which a lead holds least: all leads are above 0 if this one is.

    It is the one whose interval lies lowest: by its upper end where one lies below 0, else by its
    lower end.
    """
    table = metrics.bootstrap_columns(factor * values, SAMPLES, together=True)
    if not table["low"].notna().any():
        return Measured(Interval(np.nan, np.nan, np.nan), 0)
    saccade = table["high" if (table["high"] < 0).any() else "low"].idxmin()
    mean = metrics.interval(factor * values.mean(axis=1), SAMPLES)
    note = (
        f"Given is the saccade where it holds least, number {saccade}; the mean over all saccades "
        f"is {number(mean.value)} ({number(mean.low)} to {number(mean.high)})"
    )
    interval = Interval(*(cell(table, saccade, column) for column in ("mean", "low", "high")))
    return Measured(interval, len(values.dropna(how="all")), note)


def of_means(
    parts: pd.DataFrame, combine: Callable[[np.ndarray], np.ndarray], note: str = ""
) -> Measured:
    """What is made of the means of several values an image, such as their ratio.

    Args:
        parts: A row per image, a column per value.
        combine: Means, the values along the first axis, to the effect.
        note: For the reader.
    """
    table = parts.dropna().to_numpy(dtype=float)
    if not len(table):
        return Measured(Interval(np.nan, np.nan, np.nan), 0, note)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = combine(table.mean(axis=0))
        drawn = [
            combine((times @ table / len(table)).T)
            for _, times in resamples(len(table), SAMPLES, 0)
        ]
    low, high = percentiles(np.concatenate(drawn)[:, None])
    return Measured(Interval(float(effect), float(low[0]), float(high[0])), len(table), note)


def pair(
    results: Results, experiment: str, first: str, second: str, column: str = "correct"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A column of two roles' records, an image a row and a saccade a column, on the same images."""
    records = results.of(experiment)
    policies = [results.policy(role, records) for role in (first, second)]
    both = of_policies(records, *policies)
    if both.empty:
        raise NotRunError(f"{' and '.join(policies)} were run on different images")
    one, other = (by_image(both, policy, column) for policy in policies)
    return one, other


def of_attention(results: Results, column: str) -> pd.DataFrame:
    """A column of attention's records of the main experiment, an image a row.

    Raises:
        NotRunError: It was not run, or with a single saccade.
    """
    records = results.of(MAIN)
    table = by_image(records, results.policy(ATTENTION, records), column)
    if table.shape[1] < 2:
        raise NotRunError("there is a single saccade")
    return table


def halfway(table: pd.DataFrame) -> int:
    """The saccade half-way."""
    return max(1, table.shape[1] // 2)


def lead(results: Results, experiment: str, first: str, second: str) -> Measured:
    """A role's lead in accuracy over another's, where it is least."""
    own, other = pair(results, experiment, first, second)
    return weakest(own - other)


def at_sizes(measure: Callable[..., Measured], results: Results, **asked: Any) -> Measured:
    """An effect at the first of UNISAL's image sizes that was run; the note tells the others."""
    name, *others = results.which(*SIZES)
    found, where = measure(results, name, **asked), f"experiment “{name}”"
    for other in others:
        value, low, high = map(number, measure(results, other, **asked).interval)
        where += f"; in “{other}” it is {value} ({low} to {high})"
    return found._replace(note=f"{found.note}; {where}" if found.note else where)


def _margin(claim: Claim) -> str:
    if not claim.margin:
        return ""
    limit = f"{claim.margin:g} {claim.unit}"
    return f"The margin is {'±' if claim.side == 'within' else ''}{limit}"


def _stand_ins(claim: Claim, results: Results) -> str:
    """Which policies play the parts, where they are not the paper's."""
    others = [
        f"{name_of(results.roles[role])} stands for {name_of(PAPERS[role])}"
        for role in claim.roles
        if results.roles.get(role, PAPERS[role]) != PAPERS[role]
    ]
    return " and ".join(others)


def _sentences(*parts: str) -> str:
    known = [part.strip().rstrip(".") for part in parts if part]
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in known if part)
