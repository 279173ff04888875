"""Evaluation: every image once, every policy on it, records kept as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from tqdm.auto import tqdm

from saccade_env import core
from saccade_env.card import card, describe_policy
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import PAPER, SaccadeConfig
from saccade_env.evaluation import agreement, label_check
from saccade_env.evaluation.metrics import THRESHOLDS, check_rule
from saccade_env.evaluation.records import MAP_ENTROPY, check_records, join, records_of
from saccade_env.evaluation.report import summarise
from saccade_env.evaluation.store import SUMMARY, Store
from saccade_env.images import ImageSource
from saccade_env.images.derived import sample
from saccade_env.images.feeding import batches, check_workers
from saccade_env.task import check_on_error, open_pair

FIGURES = ("figures/accuracy.png", "figures/stopping.png")


class Evaluation(NamedTuple):
    """What an evaluation found.

    ``records`` has one row per image, policy and saccade; ``summary`` is what ``summary.json``
    holds; ``folder`` is where the files are, if any were asked for.
    """

    records: pd.DataFrame
    summary: dict[str, Any]
    folder: Path | None


def evaluate(
    policies: Mapping[str, core.Policy] | Sequence[core.Policy],
    images: str | Path | ImageSource | None = None,
    classifier: str | Classifier = AUTO,
    config: SaccadeConfig = PAPER,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    device: str | torch.device = "cpu",
    classifier_mode: Literal["recompute", "kv_cache"] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
    stop_at: Sequence[float] = THRESHOLDS,
    patience: int = 1,
    progressed: Callable[[int], object] | None = None,
    map_entropy: bool = False,
    files: Sequence[str] = (),
    check_labels: bool = True,
) -> Evaluation:
    """Evaluate policies on every image, exactly once (paper, figure 3).

    Args:
        policies: Policies to compare, or a mapping of the names they get in the records. Their
            grid must be the classifier's.
        images: See :func:`saccade_env.images.create`.
        classifier: See :func:`saccade_env.classifiers.create`.
        config: The task; its grid is replaced by the classifier's.
        limit: Evaluate a random sample of this many images, drawn by ``seed``.
        seed: Draws the sample. A policy has its own seed.
        batch_size: Images per forward; results do not depend on it.
        workers: Threads that decode the next batches meanwhile; None means one for every four
            processors, 1 to 4; 0 decodes between the forwards. Results do not depend on it.
        device: Where the classifier runs.
        classifier_mode: See :class:`saccade_env.SaccadeEnv`. With ``"kv_cache"`` a sample of the
            images is recomputed too, and ``summary["kv_cache_agreement"]`` says how far both agree.
        out: Folder for ``records.parquet``, ``summary.json``, ``figures/accuracy.png`` and, with
            labels, ``figures/stopping.png``. A run that was interrupted goes on where it stopped.
        overwrite: Drop another run's records in ``out`` instead of refusing.
        on_error: ``"skip"`` skips, counts and reports images that cannot be read.
        progress: Show a progress bar with the time left.
        stop_at: Certainties at which to stop, for the stopping curves; these are read off the
            records, which do not depend on it.
        patience: Saccades in a row that must be that certain.
        progressed: Told how many scanpaths were just finished, for a bar of the caller's own; those
            of an earlier run are not told.
        map_entropy: Add a column ``map_entropy``: entropy in bits of the policy's saliency map,
            NaN where it has none, or one with values below 0 (paper, figure 7).
        files: Names of further files that the caller will write into ``out``: a run's own then, and
            refused now if there are such files already.
        check_labels: Warn once if labels seem to mean something else than the classifier's classes.

    Warns:
        LabelWarning: Whole images are right at chance only, though the classifier is sure.

    Raises:
        BlockingIOError: Another process writes to ``out``.
        BrokenImageError: An image cannot be read and ``on_error="raise"``.
        FileExistsError: ``out`` holds another run, or a file that is not a run's where this run
            would write one. Such a file is never overwritten.
        OSError: ``out`` cannot be written (what is finished is kept), or a file in it is damaged.
        ValueError: A name or value is wrong; the message says which.
    """
    named = _named(policies)
    check_on_error(on_error)
    check_rule(stop_at, patience)
    workers = check_workers(workers)
    if batch_size < 1:
        raise ValueError(f"batch_size must be ≥ 1; got {batch_size}")
    source, judge = open_pair(images, classifier, device, classifier_mode)
    config = config.on(judge.grid)
    plan = _plan(named, source, judge, config, limit, seed, map_entropy)
    written = (SUMMARY, *FIGURES, *files)
    with nullcontext() if out is None else Store(out, plan.run, overwrite, written) as store:
        finished = store.read(plan.check) if store else []
        done = {image for part in finished for image in part["image"].unique()}
        left = [i for i in plan.chosen if source.id(i) not in done]
        broken: list[dict[str, str]] = []
        told = not check_labels
        total, made = len(plan.chosen) * len(named), len(left) * len(named)
        with tqdm(total=total, initial=total - made, unit="scanpath", disable=not progress) as bar:

            def tell(scanpaths: int) -> None:
                bar.update(scanpaths)
                if progressed:
                    progressed(scanpaths)

            for batch in batches(source, left, batch_size, on_error, workers):
                broken += batch.broken
                tell(len(batch.broken) * len(named))
                if batch.pictures:
                    pictures, checked = batch.pictures, plan.recomputed
                    finished.append(
                        records_of(pictures, named, config, judge, tell, checked, map_entropy)
                    )
                    if store:
                        store.add(finished[-1])
                told = told or label_check.tell(finished, source)
        if not told:
            label_check.tell(finished, source, enough=1)
        records = join(finished, plan.ids, list(named))
        summary = {**summarise(records, stop_at, patience), "skipped": broken, **plan.run}
        if plan.recomputed:
            summary["kv_cache_agreement"] = agreement.summarise(records)
        if store:
            _write(store, records, summary)
    return Evaluation(records, summary, store.folder if store else None)


def _named(policies: Mapping[str, core.Policy] | Sequence[core.Policy]) -> dict[str, core.Policy]:
    named = (
        dict(policies)
        if isinstance(policies, Mapping)
        else {policy.name: policy for policy in policies}
    )
    if not named or len(named) != len(policies):
        raise ValueError(
            "evaluate needs one or more policies with different names; "
            f"got {[getattr(policy, 'name', policy) for policy in policies]}"
        )
    return named


class _Plan(NamedTuple):
    """What is evaluated, what a run is that does this, and what its records hold."""

    chosen: list[int]  # places in the source
    ids: list[str]  # of the chosen
    recomputed: Set[str]  # ids of those that are recomputed too, with a KV cache
    run: dict[str, Any]
    check: Callable[[pd.DataFrame], None]  # refuses records that the run cannot have made


def _plan(
    policies: dict[str, core.Policy],
    source: ImageSource,
    judge: Classifier,
    config: SaccadeConfig,
    limit: int | None,
    seed: int,
    map_entropy: bool,
) -> _Plan:
    chosen = sample(range(len(source)), limit, seed)
    ids = [source.id(i) for i in chosen]
    if twice := [(image, count) for image, count in Counter(ids).items() if count > 1]:
        raise ValueError(
            f"{len(twice)} ids of {source.name!r} stand for several images, such as "
            f"{twice[0][0]!r} for {twice[0][1]}; an image needs an id of its own"
        )
    run = {
        **card(config, judge, source),
        "policies": {name: describe_policy(policy) for name, policy in policies.items()},
        "limit": limit,
        "seed": seed,
        **({MAP_ENTROPY: True} if map_entropy else {}),
    }
    cached = judge.recomputing is not judge
    recomputed = agreement.sample(ids) if cached else set()
    optional = [*agreement.COLUMNS] * cached + [MAP_ENTROPY] * map_entropy
    expected = ids, list(policies), config, judge.num_classes, optional
    return _Plan(chosen, ids, recomputed, run, lambda found: check_records(found, *expected))


def _write(store: Store, records: pd.DataFrame, summary: dict[str, Any]) -> None:
    from saccade_env.evaluation import figures

    store.finish(records)
    store.write_json(SUMMARY, summary)
    accuracy, stopping = (store.folder / name for name in FIGURES)
    with store.keeping():
        figures.accuracy(summary, accuracy)
        if summary["full_image"]["accuracy"] is not None:
            figures.stopping(summary, stopping)
