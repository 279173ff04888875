"""What is done with images, wherever it is done: in this process, or where an engine takes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from saccade_env import core
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.cost import Costs
from saccade_env.evaluation.records import Part, records_of
from saccade_env.images import ImageSource, Picture
from saccade_env.images.feeding import batches

Tell = Callable[[int], object]
Work = Callable[[Sequence[Any], Tell], Iterable[Any]]


@runtime_checkable
class Engine(Protocol):
    """Does work on items, in any order: here, in other processes, or on other machines."""

    def __call__(self, work: Work, items: Sequence[Any], tell: Tell) -> Iterator[Any]:
        """What the work makes of each item, as it is finished.

        Args:
            work: Makes something of items, one each. It tells how much it has done as it goes.
                An engine may pickle it.
            items: What is to be done, as plain data.
            tell: Told how much was done.
        """


def here(work: Work, items: Sequence[Any], tell: Tell) -> Iterator[Any]:
    """The engine that does it all in this process, in order."""
    yield from work(items, tell)


@dataclass(frozen=True)
class Looking:
    """Every policy on batches of images.

    Attributes:
        policies: By the names they get in the records.
        source: The images.
        classifier: Judges what is revealed.
        config: The task.
        recomputed: Ids of the images that are recomputed too, with a KV cache.
        optional: Columns that the records have beyond the usual ones.
        costs: What the policies cost.
        on_error: ``"skip"`` counts images that cannot be read.
        workers: Threads that decode ahead.
    """

    policies: dict[str, core.Policy]
    source: ImageSource
    classifier: Classifier
    config: SaccadeConfig
    recomputed: Set[str]
    optional: Collection[str]
    costs: Costs
    on_error: str
    workers: int

    def __call__(self, chunks: Sequence[Sequence[int]], tell: Tell) -> Iterable[Part]:
        """The records of each chunk of places in the source; tells how many scanpaths are made."""
        for batch in batches(self.source, chunks, self.on_error, self.workers):
            tell(len(batch.broken) * len(self.policies))
            yield self._part(batch.pictures, tell)._replace(broken=batch.broken)

    def _part(self, pictures: list[Picture], tell: Tell) -> Part:
        if not pictures:
            return Part(pd.DataFrame({"image": []}))
        return records_of(
            pictures,
            self.policies,
            self.config,
            self.classifier,
            tell,
            self.recomputed,
            self.optional,
            self.costs,
        )
