"""What is known of a figure, how it is written, and tables that several are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import by_policy
from saccade_env.evaluation.metrics.tables import by_image, policies_of
from saccade_env.files import write_text
from saccade_env.paper.findings import Claim, Finding, judge
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
)

_LOOKS = dict(zip((ATTENTION, DEEP, CLASSICAL, CENTRE, RANDOM), style.LOOKS, strict=False))
_ENDS = ("", "_low", "_high")  # of a mean, in the name of a column
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

    def save(self, figure: Any, name: str, alt: str) -> Figure:
        """Write a figure as SVG and PNG into the folder of figures."""
        svg, png = (self.place(f"{FIGURES}/{name}.{suffix}") for suffix in ("svg", "png"))
        style.save(figure, svg, png)
        return Figure(svg, png, alt)


class Numbers(NamedTuple):
    """A table behind a figure; ``part`` tells its file from those of the figure's others."""

    title: str
    frame: pd.DataFrame
    part: str = ""


class Drawn(NamedTuple):
    """A figure with its text and numbers.

    Attributes:
        figure: The drawing, or files of one that was saved before.
        alt: What is drawn, for who cannot see it.
        shows: What is seen in it here.
        numbers: What it is drawn from.
        caption: Of what it is made.
    """

    figure: Any
    alt: str
    shows: str
    numbers: Sequence[Numbers]
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
    draw: Callable[[Results], Drawn]
    claims: tuple[Claim, ...] = ()

    @property
    def key(self) -> str:
        """Its address in the report."""
        return f"figure {self.number}"

    def findings(self, results: Results) -> list[Finding]:
        """Its statements with their effects here."""
        return [judge(claim, results, self.key) for claim in self.claims]

    def section(self, results: Results, out: Output) -> Section:
        """Write the figure and its tables; if it cannot be drawn, the section says why."""
        title = f"Figure {self.number}: {self.title}"
        try:
            drawn = self.draw(results)
        except NotRunError as error:
            return Section(self.key, title, f"There is no such figure: {error}.", self.paper, "")
        name, figure = f"figure-{self.number}", drawn.figure
        if not isinstance(figure, Figure):
            figure = out.save(figure, name, f"{drawn.alt} {drawn.shows}")
        tables = []
        for title_, frame, part in drawn.numbers:
            path = out.place(f"{TABLES}/{'-'.join([name, *part.split()])}.csv")
            tables.append(Table(title_, frame, write_text(path, frame.to_csv())))
        bands = [BANDS] if self.experiments else []
        caption = " ".join([drawn.caption, *bands, results.networks()])
        return Section(self.key, title, drawn.shows, self.paper, caption, [figure], tables)


def looks_of(
    results: Results, table: pd.DataFrame, bold: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Policy → how it is drawn, the same in every figure; all but the ``bold`` roles are thin."""
    roles = {policy: role for role, policy in results.played(table).items()}
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


def accuracy_table(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, cumulative accuracy and visible share with intervals, by policy and saccade."""

    def parts(policy: str) -> dict[str, pd.DataFrame]:
        correct = metrics.correctness(records, policy)
        visible = by_image(records, policy, "visible_share")
        cumulative = correct.cummax(axis=1)
        return {"accuracy": correct, "cumulative_accuracy": cumulative, "visible_share": visible}

    return by_policy(records, parts, SAMPLES, 0)


def mean_table(records: pd.DataFrame, policies: Sequence[str]) -> pd.DataFrame:
    """Accuracy over all saccades and visible share after the last one, a row a policy."""
    rows = {}
    for policy in policies:
        accuracy = metrics.bootstrap(records, policy)
        visible = metrics.interval(by_image(records, policy, "visible_share").iloc[:, -1])
        names = [f"{name}{end}" for name in ("accuracy", "visible_share") for end in _ENDS]
        rows[policy] = dict(zip(names, (*accuracy, *visible), strict=True))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")
