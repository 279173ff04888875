"""How far classifiers agree: on the ranking of policies, and on the paper's statements.

A ranking is that of the policies' mean accuracy over all saccades of the main experiment. Images
are resampled for all classifiers together, since all have judged the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import FEWEST
from saccade_env.evaluation.metrics.tables import policies_of
from saccade_env.paper.findings import Finding, Measured, Verdict, of_means, verdict_of
from saccade_env.paper.results import MAIN, SAMPLES, NotRunError, Results

_COLUMNS = ["tau", "low", "high", "alike", "policies", "images", "note"]
_DIGITS = 12  # of a mean; what differs less is equal but for rounding


@dataclass(frozen=True)
class Agreement:
    """What several classifiers' runs say together.

    Attributes:
        rankings: See :func:`rankings`; empty where there are none.
        pairs: See :func:`agreements`; empty where there are none.
        statements: Of the paper, with what was found with each classifier.
        missing: Why there are no rankings; empty if there are.
    """

    rankings: pd.DataFrame
    pairs: pd.DataFrame
    statements: Sequence[Statement]
    missing: str = ""


def compare(results: Mapping[str, Results], findings: Mapping[str, Sequence[Finding]]) -> Agreement:
    """Rank the policies by each classifier and put what was found side by side.

    Args:
        results: Classifier → results, of the same images and policies.
        findings: Classifier → what its run found.
    """
    stated = statements(findings)
    try:
        accuracy = accuracies(results)
    except NotRunError as error:
        return Agreement(pd.DataFrame(), pd.DataFrame(), stated, f"{error}")
    return Agreement(rankings(accuracy), agreements(accuracy), stated)


def accuracies(results: Mapping[str, Results]) -> pd.DataFrame:
    """Share of the saccades that are right, an image a row and (classifier, policy) a column.

    Of the main experiment, on the images with labels and for the policies that all results have.

    Raises:
        NotRunError: The experiment was not run, or there is no such image or policy.
    """
    tables = {}
    for name, each in results.items():
        records = each.of(MAIN)
        own = {p: metrics.correctness(records, p).mean(axis=1) for p in policies_of(records)}
        tables[name] = pd.DataFrame(own)
    if not tables:
        raise NotRunError("nothing was run")
    first, *others = tables.values()
    common = [policy for policy in first if all(policy in other for other in others)]
    shared = {name: table[common] for name, table in tables.items()}
    joined = pd.concat(shared, axis=1, join="inner", names=["classifier", "policy"]).dropna()
    if joined.empty:
        raise NotRunError("no policy was run with every classifier on the same labelled images")
    return joined


def rankings(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy with its interval, and the rank from 1, by classifier and policy.

    Args:
        accuracy: Of :func:`accuracies`.
    """
    found = metrics.bootstrap_columns(accuracy, SAMPLES).rename(columns={"mean": "accuracy"})
    means = found["accuracy"].round(_DIGITS).groupby(level="classifier")
    return found.assign(rank=means.rank(ascending=False, method="min").astype(int))


def agreements(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Kendall's τ of the rankings by every two classifiers, a row a pair.

    Columns: ``tau``, ``low`` and ``high``; ``alike``: yes or no where the interval lies above or
    below 0, else ``cannot tell``; ``policies``, ``images``, and a ``note`` that says why not.

    Args:
        accuracy: Of :func:`accuracies`.
    """
    names = accuracy.columns.unique("classifier")
    rows = {pair: _row(accuracy, *pair) for pair in combinations(names, 2)}
    index = pd.MultiIndex.from_tuples([*rows], names=["first", "second"])
    return pd.DataFrame([*rows.values()], index, _COLUMNS)


def agreement(first: pd.DataFrame, second: pd.DataFrame) -> Measured:
    """Kendall's τ of two rankings, with its interval over the images.

    Args:
        first: Accuracy by one classifier, an image a row and a policy a column.
        second: By another one, with the same rows and columns.
    """
    count = first.shape[1]
    both = pd.concat((first, second), axis=1)
    return of_means(both, lambda means: kendall_tau(means[:count], means[count:]))


def kendall_tau(
    first: Float[np.ndarray, "policies *samples"], second: Float[np.ndarray, "policies *samples"]
) -> Any:
    """Kendall's τ-b along the first axis; NaN where all of one ranking are equal.

    Returns:
        (Pairs in the same order less pairs in the other one) / √(pairs not tied in the first ×
        pairs not tied in the second), from -1 to 1.
    """
    one, other = np.triu_indices(len(first), 1)
    orders = [np.sign(np.round(each[one] - each[other], _DIGITS)) for each in (first, second)]
    untied = [(order != 0).sum(axis=0) for order in orders]
    with np.errstate(invalid="ignore"):
        return (orders[0] * orders[1]).sum(axis=0) / np.sqrt(untied[0] * untied[1])


def _row(accuracy: pd.DataFrame, first: str, second: str) -> dict[str, Any]:
    own = [cast(pd.DataFrame, accuracy[name]) for name in (first, second)]
    interval, images, _ = agreement(*own)
    equal = [name for name, table in zip((first, second), own, strict=True) if _level(table)]
    note = ""
    if own[0].shape[1] < 2:
        note = "there is a single policy"
    elif equal:
        note = f"all policies are equally accurate with {' and with '.join(equal)}"
    elif images < FEWEST:
        note = f"there are only {images} images"
    alike: Verdict = "cannot tell" if note else verdict_of(interval, "above")
    tau, low, high = interval
    return {
        "tau": tau, "low": low, "high": high, "alike": alike,
        "policies": own[0].shape[1], "images": images, "note": note,
    }  # fmt: skip


def _level(table: pd.DataFrame) -> bool:
    return table.mean().round(_DIGITS).nunique() < 2


@dataclass(frozen=True)
class Statement:
    """A statement of the paper, and whether it holds with each classifier.

    Attributes:
        key: A short name.
        statement: What the paper says.
        source: Its figure.
        findings: Classifier → what was found with it; one that was not asked is missing.
    """

    key: str
    statement: str
    source: str
    findings: Mapping[str, Finding]

    @property
    def holds(self) -> int:
        """With how many classifiers."""
        return sum(finding.verdict == "yes" for finding in self.findings.values())

    @property
    def verdicts(self) -> set[str]:
        """Those that there are."""
        return {finding.verdict for finding in self.findings.values()}


def statements(findings: Mapping[str, Sequence[Finding]]) -> list[Statement]:
    """What each classifier's run found, statement by statement."""
    by_key: dict[str, dict[str, Finding]] = {}
    for name, own in findings.items():
        for finding in own:
            by_key.setdefault(finding.key, {})[name] = finding
    return [
        Statement(key, (one := next(iter(own.values()))).statement, one.source, own)
        for key, own in by_key.items()
    ]


def statement_table(stated: Sequence[Statement]) -> pd.DataFrame:
    """Effect, interval and verdict by statement and classifier, and how many it holds with."""
    rows = [
        {
            "classifier": name, "holds_with": each.holds, "classifiers": len(each.findings),
            **asdict(finding),
        }
        for each in stated
        for name, finding in each.findings.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index(["key", "classifier"]) if rows else pd.DataFrame()
