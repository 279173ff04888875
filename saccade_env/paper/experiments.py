"""The paper's experiments: what is run on which images, and which tables are read off the runs.

A run is one pass over images with several policies; an experiment is a table of one or more runs,
so that a map that two experiments need is followed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from saccade_env.geometry import Grid
from saccade_env.images import ImageSource
from saccade_env.paper.cast import Cast
from saccade_env.paper.results import FOVEA
from saccade_env.paper.settings import PaperSettings

Kind = Literal["evaluation", "entropies", "crops"]


@dataclass(frozen=True)
class Run:
    """One pass over images.

    Attributes:
        name: That of the experiment whose last run it is.
        policies: Names with parameters, as in the records.
        source: The images.
        grid: Token grid of the classifier.
        fovea: Side in tokens.
        kind: An evaluation, or a table an image.
    """

    name: str
    policies: tuple[str, ...]
    source: ImageSource
    grid: Grid
    fovea: int = FOVEA
    kind: Kind = "evaluation"

    @property
    def folder(self) -> str:
        """Its folder in that of all runs."""
        return self.name.replace(" ", "-")


@dataclass(frozen=True)
class Experiment:
    """A table of results.

    Attributes:
        name: As in :class:`saccade_env.paper.results.Results`.
        runs: What it is read off, by name.
        settings: One row a policy.
        grid: Token grid of its fixations.
    """

    name: str
    runs: tuple[str, ...]
    settings: list[dict[str, Any]]
    grid: Grid


@dataclass
class Programme:
    """All runs and experiments of a preset; what cannot be run is in the cast's notes."""

    settings: PaperSettings
    cast: Cast
    source: ImageSource
    runs: dict[str, Run]
    experiments: dict[str, Experiment]

    def add(self, run: Run, settings: list[dict[str, Any]] | None = None, *others: str) -> None:
        """Take in a run, and the experiment that is read off it and earlier ones."""
        rows = settings or [{"policy": policy, "fovea": run.fovea} for policy in run.policies]
        self.runs[run.name] = run
        self.experiments[run.name] = Experiment(run.name, (*others, run.name), rows, run.grid)

    @property
    def chosen(self) -> list[Run]:
        """The runs that the figures asked for need, in order."""
        wanted = [self.experiments[name] for name in self.settings.experiments
                  if name in self.experiments]  # fmt: skip
        if self.settings.only is None:
            wanted = list(self.experiments.values())
        names = {name for experiment in wanted for name in experiment.runs}
        return [run for name, run in self.runs.items() if name in names]
