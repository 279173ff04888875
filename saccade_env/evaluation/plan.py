"""What an evaluation is of, kept beside its records: enough to check them and to end the run.

So shards can be put together where neither the images nor the networks are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from saccade_env import core
from saccade_env.card import card, describe_policy
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import agreement, cost
from saccade_env.evaluation.cost import FORWARDS, Costs
from saccade_env.evaluation.records import (
    MAP_ENTROPY,
    PREDICTED_GAIN,
    Part,
    check_records,
    join,
)
from saccade_env.evaluation.report import summarise
from saccade_env.evaluation.store import RUN, SUMMARY, Store
from saccade_env.files import read_object
from saccade_env.images import BrokenImageError, ImageSource

PLAN, PLANNED = "plan.json", "plan_sha256"
DRAWN = ("accuracy", "stopping", "stopping_rules", "cost")  # by functions of these names
FIGURES = tuple(f"figures/{name}.png" for name in DRAWN)
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
        costs: What the policies cost, once it is measured; it does not tell runs apart.
    """

    run: dict[str, Any]
    images: list[str]
    optional: list[str]
    costs: Costs = field(default=Costs(), compare=False)

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
        optional = [*agreement.COLUMNS] * cached + [MAP_ENTROPY] * map_entropy + [FORWARDS]
        tells = any(isinstance(policy, core.PredictsGain) for policy in policies.values())
        optional += [PREDICTED_GAIN] * tells
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
            costs = Costs.of(kept["costs"]) if "costs" in kept else Costs()  # older ones have none
            plan = cls(run, list(kept["images"]), list(kept["optional"]), costs)
            if run.get(PLANNED) != _hash(plan.images, plan.optional):
                raise ValueError(f"it is not what {RUN} says was planned")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OSError(
                f"{folder / PLAN} does not hold what a run writes there ({error!r})"
            ) from error
        return plan

    def write(self, store: Store) -> None:
        """Keep it in the folder of the run."""
        kept = {"images": self.images, "optional": self.optional, "costs": self.costs.plain()}
        store.write_json(PLAN, kept)

    def known_costs(self, store: Store | None) -> Costs | None:
        """What the policies cost, if the run in the folder has measured it."""
        try:
            costs = Plan.read(store.folder).costs if store else Costs()
        except OSError:
            return None
        return costs if costs.policies else None

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
        self,
        parts: list[Part],
        store: Store | None,
        stop_at: Sequence[float],
        patience: int,
        draw: bool = True,
    ) -> Evaluation:
        """Put the parts together, and write what a run ends with, its figures if they are wanted.

        Raises:
            BrokenImageError: There is no record.
            OSError: Something cannot be written; what is finished is kept.
        """
        whole = join(parts, self.images, list(self.run["policies"]))
        if whole.records.empty:
            raise BrokenImageError("not one image could be read")
        summary = summarise(whole.records, stop_at, patience)
        summary["full_image"]["flops"] = self.costs.whole or None
        summary = {
            **summary,
            "cost": cost.summarise(whole.records, self.costs, whole.seconds, _said_before(store)),
            "skipped": whole.broken,
            **self.run,
        }
        if self.recomputed:
            summary["kv_cache_agreement"] = agreement.summarise(whole.records)
        if store:
            store.finish(whole)
            store.write_json(SUMMARY, summary)
        if store and draw:
            with store.keeping():
                _draw(summary, store.folder)
        return Evaluation(whole.records, summary, store.folder if store else None)


def _hash(images: Sequence[str], optional: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([*images, optional]).encode()).hexdigest()


def _said_before(store: Store | None) -> dict[str, Any]:
    """What the finished run in this folder cost: its records have lost their times."""
    try:
        return dict(read_object(store.folder / SUMMARY)["cost"]) if store else {}
    except (OSError, KeyError, TypeError):
        return {}


def _draw(summary: dict[str, Any], folder: Path) -> None:
    from saccade_env.evaluation import figures

    labelled = summary["full_image"]["accuracy"] is not None
    counted = bool(summary["cost"] and summary["full_image"]["flops"])
    possible = {"accuracy": True, "cost": labelled and counted}
    for name, path in zip(DRAWN, FIGURES, strict=True):
        if possible.get(name, labelled):
            getattr(figures, name)(summary, folder / path)
