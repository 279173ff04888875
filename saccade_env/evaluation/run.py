"""Evaluation: every image once, every policy on it, records kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from tqdm.auto import tqdm

from saccade_env import core
from saccade_env.card import card, describe_policy
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import PAPER, SaccadeConfig
from saccade_env.evaluation import agreement
from saccade_env.evaluation.metrics import THRESHOLDS, check_rule
from saccade_env.evaluation.records import join, records_of
from saccade_env.evaluation.report import summarise
from saccade_env.evaluation.store import SUMMARY, Store
from saccade_env.images import ImageSource
from saccade_env.images.derived import sample
from saccade_env.images.feeding import batches, check_workers
from saccade_env.task import check_on_error, device_of, open_pair

FIGURES = "figures"


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

    Raises:
        BrokenImageError: An image cannot be read and ``on_error="raise"``.
        FileExistsError: ``out`` holds another run.
        OSError: ``out`` cannot be written; what is finished is kept.
        ValueError: A name or value is wrong; the message says which.
    """
    named = _named(policies)
    check_on_error(on_error)
    check_rule(stop_at, patience)
    workers = check_workers(workers)
    source, judge = open_pair(images, classifier, device, classifier_mode)
    place, config = device_of(judge, device), config.on(judge.grid)
    cached = getattr(judge, "mode", None) == "kv_cache"
    run = {
        **card(config, judge, source),
        "policies": {name: describe_policy(policy) for name, policy in named.items()},
        "limit": limit,
        "seed": seed,
    }
    if batch_size < 1:
        raise ValueError(f"batch_size must be ≥ 1; got {batch_size}")
    chosen = sample(range(len(source)), limit, seed)  # a bad limit is refused here
    ids = [source.id(i) for i in chosen]
    checked = agreement.sample(ids) if cached else set()
    store = Store(out, run, overwrite) if out is not None else None
    finished = store.read() if store else []
    done = {image for part in finished for image in part["image"].unique()}
    left = [i for i in chosen if source.id(i) not in done]
    broken: list[dict[str, str]] = []
    done_before, count = len(chosen) - len(left), len(named)
    bar = tqdm(
        total=len(chosen) * count,
        initial=done_before * count,
        unit="scanpath",
        disable=not progress,
    )

    def tell(scanpaths: int) -> None:
        bar.update(scanpaths)
        if progressed:
            progressed(scanpaths)

    with bar:
        for batch in batches(source, left, batch_size, on_error, workers):
            broken += batch.broken
            tell(len(batch.broken) * count)
            if batch.pictures:
                part = records_of(batch.pictures, named, config, judge, place, tell, checked)
                finished.append(part)
                if store:
                    store.add(part)
    # A run killed while it was putting its parts together has left images in two files.
    records = join(finished, ids, list(named)).drop_duplicates(["image", "policy", "saccade"])
    records = records.reset_index(drop=True)
    summary = {**summarise(records, stop_at, patience), "skipped": broken, **run}
    if cached:
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


def _write(store: Store, records: pd.DataFrame, summary: dict[str, Any]) -> None:
    from saccade_env.evaluation import figures

    store.finish(records)
    store.write_json(SUMMARY, summary)
    figures.accuracy(summary, store.folder / FIGURES / "accuracy.png")
    if summary["full_image"]["accuracy"] is not None:
        figures.stopping(summary, store.folder / FIGURES / "stopping.png")
