"""What an evaluation is of, kept beside its records: enough to check them and to end the run.

So shards can be put together where neither the images nor the networks are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from saccade_env import core
from saccade_env.card import card, describe_policy
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import agreement
from saccade_env.evaluation.records import MAP_ENTROPY, Part, check_records, join
from saccade_env.evaluation.report import summarise
from saccade_env.evaluation.store import RUN, SUMMARY, Store
from saccade_env.files import read_object
from saccade_env.images import BrokenImageError, ImageSource

PLAN, PLANNED = "plan.json", "plan_sha256"
FIGURES = ("figures/accuracy.png", "figures/stopping.png")
WRITTEN = (PLAN, SUMMARY, *FIGURES)


class Evaluation(NamedTuple):
    """What an evaluation found.

    ``records`` has one row per image, policy and saccade; ``summary`` is what ``summary.json``
    holds; ``folder`` is where the files are, if any were asked for. Of a shard there are its own
    records, and the summary has no results: they are the whole run's.
    """

    records: pd.DataFrame
    summary: dict[str, Any]
    folder: Path | None


@dataclass(frozen=True)
class Plan:
    """What an evaluation is of.

    Attributes:
        run: Configuration, classifier, images, policies and versions, as plain data.
        images: Ids, in the order of the records.
        optional: Columns that the records have beyond the usual ones.
    """

    run: dict[str, Any]
    images: list[str]
    optional: list[str]

    @classmethod
    def of(
        cls,
        policies: Mapping[str, core.Policy],
        source: ImageSource,
        chosen: Sequence[int],
        classifier: Classifier,
        config: SaccadeConfig,
        map_entropy: bool,
        **asked: Any,
    ) -> Plan:
        """The plan of an evaluation; ``asked`` is what else tells runs apart.

        Raises:
            ValueError: Two images have the same id.
        """
        ids = [source.id(i) for i in chosen]
        if twice := [(image, count) for image, count in Counter(ids).items() if count > 1]:
            raise ValueError(
                f"{len(twice)} ids of {source.name!r} stand for several images, such as "
                f"{twice[0][0]!r} for {twice[0][1]}; an image needs an id of its own"
            )
        run = {
            **card(config, classifier, source),
            "policies": {name: describe_policy(policy) for name, policy in policies.items()},
            **asked,
            **({MAP_ENTROPY: True} if map_entropy else {}),
        }
        cached = classifier.recomputing is not classifier
        optional = [*agreement.COLUMNS] * cached + [MAP_ENTROPY] * map_entropy
        return cls({**run, PLANNED: _hash(ids, optional)}, ids, optional)

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of the run in a folder.

        Raises:
            OSError: There is none, or it is damaged; the message names the file.
        """
        for name in (RUN, PLAN):
            if not (folder / name).exists():
                raise FileNotFoundError(f"{folder} holds no evaluation: it has no {name}")
        run, kept = (read_object(folder / name) for name in (RUN, PLAN))
        try:
            plan = cls(run, list(kept["images"]), list(kept["optional"]))
            if run.get(PLANNED) != _hash(plan.images, plan.optional):
                raise ValueError(f"it is not what {RUN} says was planned")
        except (KeyError, TypeError, ValueError) as error:
            raise OSError(
                f"{folder / PLAN} does not hold what a run writes there ({error!r})"
            ) from error
        return plan

    def write(self, store: Store) -> None:
        """Keep it in the folder of the run."""
        store.write_json(PLAN, {"images": self.images, "optional": self.optional})

    @property
    def recomputed(self) -> set[str]:
        """Images that are recomputed too, with a KV cache."""
        return agreement.sample(self.images) if agreement.COLUMNS[0] in self.optional else set()

    def check(self, records: pd.DataFrame) -> None:
        """Refuse records that this run cannot have made.

        Raises:
            ValueError: The message says why.
        """
        config = SaccadeConfig(**{**self.run["config"], "grid": tuple(self.run["config"]["grid"])})
        classes, policies = self.run["classifier"]["num_classes"], list(self.run["policies"])
        check_records(records, self.images, policies, config, classes, self.optional)

    def missing(self, parts: Sequence[Part]) -> list[str]:
        """Images that are in none of the parts, neither read nor known to be broken."""
        known = {image for part in parts for image in part.records["image"].unique()}
        known |= {one["image"] for part in parts for one in part.broken}
        return [image for image in self.images if image not in known]

    def share(self, parts: Sequence[Part], images: Set[str], store: Store | None) -> Evaluation:
        """What a shard has found of its own images."""
        own = join(parts, self.images, list(self.run["policies"]))
        records = own.records[own.records["image"].isin(images)].reset_index(drop=True)
        broken = [one for one in own.broken if one["image"] in images]
        return Evaluation(records, {**self.run, "skipped": broken}, store.folder if store else None)

    def end(
        self, parts: list[Part], store: Store | None, stop_at: Sequence[float], patience: int
    ) -> Evaluation:
        """Put the parts together, and write what a run ends with.

        Raises:
            BrokenImageError: There is no record.
            OSError: Something cannot be written; what is finished is kept.
        """
        whole = join(parts, self.images, list(self.run["policies"]))
        if whole.records.empty:
            raise BrokenImageError("not one image could be read")
        summary = {
            **summarise(whole.records, stop_at, patience),
            "skipped": whole.broken,
            **self.run,
        }
        if self.recomputed:
            summary["kv_cache_agreement"] = agreement.summarise(whole.records)
        if store:
            store.finish(whole)
            store.write_json(SUMMARY, summary)
            with store.keeping():
                _draw(summary, store.folder)
        return Evaluation(whole.records, summary, store.folder if store else None)


def _hash(images: Sequence[str], optional: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([*images, optional]).encode()).hexdigest()


def _draw(summary: dict[str, Any], folder: Path) -> None:
    from saccade_env.evaluation import figures

    accuracy, stopping = (folder / name for name in FIGURES)
    figures.accuracy(summary, accuracy)
    if summary["full_image"]["accuracy"] is not None:
        figures.stopping(summary, stopping)
