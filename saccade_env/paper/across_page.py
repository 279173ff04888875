"""The report on several classifiers: the page, its figure, and its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
import pandas as pd

from saccade_env.card import plain
from saccade_env.drawing import style
from saccade_env.evaluation.metrics.tables import rows_of
from saccade_env.files import write_json, write_text
from saccade_env.paper import page
from saccade_env.paper.agreement import Agreement, Statement, statement_table
from saccade_env.paper.figures.recipe import BANDS, Output, looks_of
from saccade_env.paper.findings import RULE
from saccade_env.paper.results import FINDINGS, MAIN, Results, name_of, number, percent
from saccade_env.paper.run import REPORT

_BESIDE = 0.03  # of the way from a classifier to the next: policies do not hide each other
TITLE = "The paper’s analyses of saccades, across classifiers"
TAU = (
    "Kendall’s τ-b of the policies’ mean accuracies over all saccades (fovea 3): 1 if both "
    "classifiers rank the policies in the same order, −1 if in the opposite one. Its 95 % interval "
    "is over the images, resampled for both together; each interval is for itself. Alike: yes if "
    "it lies above 0, no if below, else cannot tell."
)
_PAPER = (
    "The paper ranks policies with DINO alone. If the order depends on the network that judges, "
    "one classifier is no evidence for a policy."
)


@dataclass(frozen=True)
class AcrossPage(page.Page):
    """A page with each statement of the paper once, and whether it holds with each classifier.

    Attributes:
        reports: Classifier → address of its own report.
        statements: Of the paper.
        table: The same as numbers.
    """

    template: ClassVar = "across.html.j2"
    reports: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Statement] = ()
    table: page.Table | None = None

    @property
    def everywhere(self) -> int:
        """Statements that hold with every classifier."""
        return sum(each.holds == len(self.reports) for each in self.statements)

    @property
    def nowhere(self) -> int:
        """Statements that fail with every classifier."""
        return sum(each.verdicts == {"no"} for each in self.statements)

    @property
    def untold(self) -> int:
        """Statements of which no classifier can tell."""
        return sum(each.verdicts == {"cannot tell"} for each in self.statements)


def write_across(
    found: Agreement,
    results: Mapping[str, Results],
    folders: Mapping[str, str],
    run: dict[str, Any],
    out: Output,
) -> Path:
    """Write ``report.html``, ``findings.json``, ``figures/rankings`` and ``tables/*.csv``.

    Args:
        found: What is told.
        results: Classifier → its results; the main experiment will do.
        folders: Classifier → folder of its own report, below the output folder.
        run: What was run, as plain data.
        out: Where it goes.

    Returns:
        The path of the page.
    """
    told = {
        name: {"folder": folders[name], **results[name].run.get("classifier", {})}
        for name in folders
    }
    write_json(out.place(FINDINGS), as_data(found, {**run, "classifiers": told}))
    made = AcrossPage(
        title=TITLE,
        summary=summary(results, run),
        warnings=warnings(results),
        sections=[section(found, results, out)],
        reports={name: quote(f"{folder}/{REPORT}") for name, folder in folders.items()},
        statements=found.statements,
        table=_table(out, "findings", "Every finding", statement_table(found.statements)),
    )
    return page.write(made, out.place(REPORT))


def as_data(found: Agreement, run: dict[str, Any]) -> dict[str, Any]:
    """All that is told as plain data; what is not a finite number is None."""
    rows = [table.reset_index().to_dict("records") for table in (found.rankings, found.pairs)]
    stated = [
        {
            "key": each.key, "statement": each.statement, "source": each.source,
            "holds_with": each.holds, "of": len(each.findings),
            "classifiers": {name: asdict(finding) for name, finding in each.findings.items()},
        }
        for each in found.statements
    ]  # fmt: skip
    told = {"run": run, "rankings": rows[0], "agreement": rows[1], "findings": stated}
    return plain({**told, "missing": found.missing})


def summary(results: Mapping[str, Results], run: Mapping[str, Any]) -> dict[str, str]:
    """What was run, name by name, as text."""
    first = next(iter(results.values())).run if results else {}
    source = first.get("images", {})
    told = {
        **{f"weights of {name}": each.run.get("weights") for name, each in results.items()},
        "images": source and f"{source['name']} (a folder of {source['count']} images)",
        "policies": ", ".join(run.get("policies", ())),
        "single crops": name_of(run.get("crop_classifier", "")),
        **{name: run.get(name) for name in ("preset", "limit", "seed", "command")},
        "agreement": TAU,
        "verdicts": RULE,
    }
    return {name: str(text) for name, text in told.items() if text not in (None, "", {})}


def warnings(results: Mapping[str, Results]) -> list[str]:
    """What the reader has to beware of."""
    found = [doubt for each in results.values() if (doubt := each.suspicion())]
    grids = {name: each.grids[MAIN] for name, each in results.items() if MAIN in each.grids}
    if len(set(grids.values())) > 1:
        sizes = ", ".join(f"{name} {rows}×{cols}" for name, (rows, cols) in grids.items())
        found.append(
            f"the token grids differ ({sizes}): a fovea of as many tokens is not one of as many "
            "pixels, and accuracies at the same saccade are not of as much seen"
        )
    return list(dict.fromkeys(found))


def section(found: Agreement, results: Mapping[str, Results], out: Output) -> page.Section:
    """The rankings and their agreement, with figure and tables; or why there are none."""
    title, key = "How the classifiers rank the policies", "rankings"
    if found.missing:
        return page.Section(key, title, f"There is no ranking: {found.missing}.", _PAPER, "")
    alt = "Line charts of mean accuracy and of rank against the classifier, a line a policy."
    shows = " ".join((_best(found.rankings), _agreed(found.pairs)))
    figure = out.save(draw(found.rankings, results), key, f"{alt} {shows}")
    ranked = "Mean accuracy over all saccades (a share), and rank"
    tables = [
        _table(out, key, ranked, found.rankings, unfolded=True),
        _table(out, "agreement", "Kendall’s τ of two rankings", found.pairs, unfolded=True),
    ]
    caption = (
        f"Experiment “{MAIN}”, the images that every classifier judged. Policies of equal accuracy "
        f"share the better rank. {BANDS}"
    )
    return page.Section(key, title, shows, _PAPER, caption, [figure], tables)


def draw(rankings: pd.DataFrame, results: Mapping[str, Results]) -> Any:
    """Accuracy with intervals and rank, a line a policy across the classifiers."""
    names = list(dict.fromkeys(rankings.index.get_level_values("classifier")))
    there, first = set(rankings.index.get_level_values("policy")), next(iter(results.values()))
    looks = {p: look for p, look in looks_of(first, first.of(MAIN)).items() if p in there}
    figure = style.figure(max(10, 2.2 * len(names) + 4), 4.6)
    left, right = figure.subplots(1, 2)
    for place, (policy, look) in enumerate(looks.items()):
        own = rows_of(rankings.swaplevel(), policy)
        beside = np.arange(len(own)) + _BESIDE * (place - (len(looks) - 1) / 2)
        bars = style.errors(own, "accuracy")
        left.errorbar(beside, 100 * own["accuracy"], bars, capsize=2, elinewidth=1, **look)
        right.plot(beside, own["rank"], **look)
    labels = ["\n".join(wrap(re.sub("([:,])", r"\1 ", name), 24)) for name in names]
    ticks = {"xticks": range(len(names)), "xticklabels": labels}
    style.from_zero(left)
    style.dress(left, "accuracy over all saccades", "classifier", "top-1 accuracy (%)", **ticks)
    style.dress(right, "rank", "classifier", "rank", yticks=range(1, len(looks) + 1), **ticks)
    for axes in (left, right):
        axes.set_xlim(-0.4, len(names) - 0.6)
    right.invert_yaxis()
    style.legend_below(figure, right)
    return figure


def _best(rankings: pd.DataFrame) -> str:
    """Who is first with each classifier."""
    first = rankings[rankings["rank"] == 1].reset_index()
    told = [
        f"{' and '.join(map(name_of, own['policy']))} with {name} "
        f"({percent(float(own['accuracy'].iloc[0]))})"
        for name, own in first.groupby("classifier", sort=False)
    ]
    return f"First is {'; '.join(told)}."


def _agreed(pairs: pd.DataFrame) -> str:
    """What τ says: of a single pair itself, else how many agree."""
    if pairs.empty:
        return "There is no second classifier to compare it with."
    if len(pairs) == 1:
        tau, low, high, alike = pairs.iloc[0][["tau", "low", "high", "alike"]]
        measured = f"τ = {number(tau, 2)} ({number(low, 2)} to {number(high, 2)})"
        return f"Do the two rank the policies alike? {alike.capitalize()}: {measured}."
    counts = pairs["alike"].value_counts()
    yes, no, unsure = (counts.get(word, 0) for word in ("yes", "no", "cannot tell"))
    return (
        f"Of {len(pairs)} pairs of classifiers {yes} rank the policies alike, {no} the other way "
        f"round, and of {unsure} these images cannot tell."
    )


def _table(
    out: Output, name: str, title: str, frame: pd.DataFrame, unfolded: bool = False
) -> page.Table:
    path = write_text(out.place(f"{page.TABLES}/{name}.csv"), frame.to_csv())
    return page.Table(title, frame, path, unfolded)
