"""What the figures have in common: a section each, with tables, captions and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import interval_table
from saccade_env.evaluation.metrics.tables import by_image, policies_of
from saccade_env.files import write_text
from saccade_env.paper.findings import Claim
from saccade_env.paper.page import FIGURES, TABLES, Figure, Section, Table
from saccade_env.paper.results import (
    ATTENTION,
    CENTRE,
    CLASSICAL,
    DEEP,
    RANDOM,
    SAMPLES,
    NotRunError,
    Results,
    name_of,
    networks,
    played,
)

_LOOKS = dict(zip((ATTENTION, DEEP, CLASSICAL, CENTRE, RANDOM), style.LOOKS, strict=False))
BANDS = "Bands and bars are 95 % bootstrap intervals over images."


@dataclass(frozen=True)
class Output:
    """The report's folder; ``claim`` is told the name of every file before it is written."""

    folder: Path
    claim: Callable[[str], object] = lambda name: None

    def place(self, name: str) -> Path:
        """Where a file goes.

        Raises:
            FileExistsError: There is a file of this name that is not the report's own.
        """
        self.claim(name)
        return self.folder / name


@dataclass(frozen=True)
class Drawn:
    """A figure with its text and numbers."""

    shows: str
    figures: Sequence[Figure]
    tables: Sequence[Table]
    caption: str


@dataclass(frozen=True)
class Recipe:
    """One of the paper's figures: all that is known of it.

    Attributes:
        number: In the paper.
        title: Of the section.
        paper: What it showed there.
        experiments: What it is made from; nothing where it shows the sample's pictures.
        draw: Draws it from results.
        claims: Statements of the paper that belong to it.
    """

    number: int
    title: str
    paper: str
    experiments: tuple[str, ...]
    draw: Callable[[Results, Output], Drawn]
    claims: tuple[Claim, ...] = ()

    @property
    def key(self) -> str:
        """Its address in the report."""
        return f"figure {self.number}"

    def section(self, results: Results, folder: Output) -> Section:
        """The figure as a section of the report; if it cannot be drawn, one that says why."""
        title = f"Figure {self.number}: {self.title}"
        try:
            drawn = self.draw(results, folder)
        except NotRunError as error:
            return Section(self.key, title, f"There is no such figure: {error}.", self.paper, "")
        bands = [BANDS] if self.experiments else []
        caption = " ".join([drawn.caption, *bands, networks(results)]).strip()
        return Section(
            self.key, title, drawn.shows, self.paper, caption, drawn.figures, drawn.tables
        )


def looks_of(
    results: Results, table: pd.DataFrame, bold: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Policy → how it is drawn, the same in every figure; all but the ``bold`` roles are thin."""
    roles = {policy: role for role, policy in played(results, table).items()}
    order = [*roles, *(policy for policy in policies_of(table) if policy not in roles)]
    return {
        policy: {"label": name_of(policy), **style.LINE}
        | _LOOKS.get(roles.get(policy, ""), style.OTHER)
        | ({} if not bold or roles.get(policy) in bold else style.THIN)
        for policy in order
    }


def images_text(records: pd.DataFrame) -> str:
    """How many images a figure is made from."""
    labelled = records[records["label"] >= 0]["image"].nunique()
    return f"{labelled} images with labels."


def table(frame: pd.DataFrame, title: str, name: str, folder: Output) -> Table:
    """Numbers with their CSV file in the report's folder of tables."""
    return Table(title, frame, write_text(folder.place(f"{TABLES}/{name}.csv"), frame.to_csv()))


def save(figure: Any, folder: Output, name: str, alt: str) -> Figure:
    """Write a figure as SVG and PNG into the report's folder of figures."""
    svg, png = (folder.place(f"{FIGURES}/{name}.{suffix}") for suffix in ("svg", "png"))
    style.save(figure, svg, png)
    return Figure(svg, png, alt=alt)


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
