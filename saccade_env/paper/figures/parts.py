"""What the figures have in common: a section each, with tables, captions and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import interval_table
from saccade_env.evaluation.metrics.tables import by_image, policies_of
from saccade_env.paper.page import Figure, Section, Table, write_text
from saccade_env.paper.reading import SAMPLES, NotRunError, name_of, run_name, suspicion
from saccade_env.paper.results import ATTENTION, DEEP, PAPERS, Results
from saccade_env.paper.stored import TABLES

BANDS = "Bands and bars are 95 % bootstrap intervals over images."
_PAPERS = "dino_vits16"


@dataclass(frozen=True)
class Drawn:
    """A figure with its text and numbers."""

    shows: str
    figures: Sequence[Figure]
    tables: Sequence[Table]
    caption: str


@dataclass(frozen=True)
class Recipe:
    """One of the paper's figures: how to draw it, and what it showed there."""

    number: int
    title: str
    paper: str
    draw: Callable[[Results, Path], Drawn]


def section(recipe: Recipe, results: Results, folder: Path) -> Section:
    """A figure as a section of the report; if it cannot be drawn, one that says why."""
    key = f"figure {recipe.number}"
    title = f"Figure {recipe.number}: {recipe.title}"
    try:
        drawn = recipe.draw(results, folder)
    except NotRunError as error:
        return Section(key, title, f"There is no such figure: {error}.", recipe.paper, "")
    caption = f"{drawn.caption} {BANDS} {networks(results)}".strip()
    return Section(key, title, drawn.shows, recipe.paper, caption, drawn.figures, drawn.tables)


def networks(results: Results) -> str:
    """With which networks figures were made, and which are the paper's where they are others."""
    names = [run_name(results.run, "classifier"), results.roles.get(ATTENTION, "")]
    made = "Networks: " + (" with ".join(name_of(name) for name in names if name) or "not named")
    if results.run.get("paper_setting") is True and not suspicion(results):
        return f"{made}, as in the paper."
    others = [] if names == [_PAPERS, PAPERS[ATTENTION]] else [name_of(_PAPERS)]
    deep = results.roles.get(DEEP, PAPERS[DEEP])
    if deep != PAPERS[DEEP]:
        made += f" and {name_of(deep)}"
        others.append(name_of(PAPERS[DEEP]))
    if not others:
        return f"{made}; other networks or weights of this run are not the paper’s."
    return f"{made}; the paper uses {' and '.join(others)}."


def images_text(records: pd.DataFrame) -> str:
    """How many images a figure is made from."""
    labelled = records[records["label"] >= 0]["image"].nunique()
    return f"{labelled} images with labels."


def table(frame: pd.DataFrame, title: str, name: str, folder: Path) -> Table:
    """Numbers with their CSV file in the report's folder of tables."""
    path = write_text(folder / TABLES / f"{name}.csv", frame.to_csv())
    return Table(title, frame, path)


def accuracy_table(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, cumulative accuracy and visible share with intervals, by policy and saccade."""
    tables = {}
    for policy in policies_of(records):
        correct = metrics.correctness(records, policy)
        parts = {
            "accuracy": correct,
            "cumulative_accuracy": correct.cummax(axis=1),
            "visible_share": by_image(records, policy, "visible_share"),
        }
        tables[policy] = interval_table(parts, SAMPLES, 0)
    return pd.concat(tables, names=["policy"])


def mean_table(records: pd.DataFrame, policies: Sequence[str]) -> pd.DataFrame:
    """Accuracy over all saccades and visible share after the last one, a row a policy."""
    rows = {}
    for policy in policies:
        visible = by_image(records, policy, "visible_share").iloc[:, -1]
        found = {
            "accuracy": metrics.bootstrap(records, policy),
            "visible_share": metrics.interval(visible),
        }
        rows[policy] = {
            f"{name}{end}": value
            for name, bounds in found.items()
            for end, value in zip(("", "_low", "_high"), bounds, strict=True)
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")
