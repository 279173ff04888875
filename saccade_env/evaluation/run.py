"""Evaluation: every image once, every policy on it, records kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from tqdm.auto import tqdm

from saccade_env import core
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import PAPER, SaccadeConfig
from saccade_env.evaluation import cost, label_check
from saccade_env.evaluation.metrics import THRESHOLDS, check_rule
from saccade_env.evaluation.plan import WRITTEN, Evaluation, Plan
from saccade_env.evaluation.shards import WHOLE, Shard
from saccade_env.evaluation.store import Store
from saccade_env.evaluation.work import Engine, Looking, here
from saccade_env.images import ImageSource
from saccade_env.images.derived import sample
from saccade_env.images.feeding import check_workers, chunked
from saccade_env.task import check_on_error, open_pair


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
    draw: bool = True,
    shard: Shard = WHOLE,
    engine: Engine = here,
) -> Evaluation:
    """Evaluate policies on every image, exactly once (paper, figure 3).

    What they cost is counted beforehand, on one image: see :mod:`saccade_env.evaluation.cost`.

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
        out: Folder for ``records.parquet``, ``summary.json``, ``plan.json``,
            ``figures/accuracy.png`` and, with labels, ``figures/stopping.png``,
            ``stopping_rules.png`` and ``cost.png``. A run that was interrupted goes on where it
            stopped.
        overwrite: Drop another run's records in ``out`` instead of refusing.
        on_error: ``"skip"`` skips, counts and reports images that cannot be read.
        progress: Show a progress bar with the time left.
        stop_at: Certainties at which to stop, for the stopping curves; these are read off the
            records, which do not depend on it.
        patience: Saccades in a row that must be that certain.
        progressed: Told how many scanpaths were just finished, for a bar of the caller's own; those
            of an earlier run are not told.
        map_entropy: Add a column ``map_entropy``: entropy in bits of the policy's saliency map,
            NaN where it has none, or one with values below 0 (paper, figure 7). Of these a rule
            for stopping is made.
        files: Names of further files that the caller will write into ``out``: a run's own then, and
            refused now if there are such files already.
        check_labels: Warn once if labels seem to mean something else than the classifier's classes.
        draw: Draw the figures into ``out``; one who draws others may do without.
        shard: Do this share of the batches alone; others do the rest, in ``out`` or in folders of
            their own, and :func:`saccade_env.evaluation.merge` puts them together.
        engine: Does the work, here or elsewhere; see :mod:`saccade_env.scale`.

    Warns:
        LabelWarning: Whole images are right at chance only, though the classifier is sure.

    Raises:
        BlockingIOError: Another process writes to ``out``.
        BrokenImageError: An image cannot be read and ``on_error="raise"``.
        FileExistsError: ``out`` holds another run, or a file that is not a run's where this run
            would write one. Such a file is never overwritten.
        OSError: ``out`` cannot be written (what is finished is kept), or a file in it is damaged.
        ValueError: A name or value is wrong; the message says which.

    >>> from saccade_env import policies
    >>> found = evaluate([policies.create("centre")], "sample", "efficientnet_lite0", limit=2)
    >>> len(found.records), sorted(found.summary["results"])
    (20, ['centre'])
    """
    named = _named(policies)
    check_on_error(on_error)
    check_rule(stop_at, patience)
    workers = check_workers(workers)
    if batch_size < 1:
        raise ValueError(f"batch_size must be ≥ 1; got {batch_size}")
    source, judge = open_pair(images, classifier, device, classifier_mode)
    config = config.on(judge.grid)
    chosen = sample(range(len(source)), limit, seed)
    plan = Plan.of(named, source, chosen, judge, config, map_entropy, limit=limit, seed=seed)
    written = (*WRITTEN, *files)
    with nullcontext() if out is None else Store(out, plan.run, overwrite, written, shard) as store:
        parts = store.read(plan.check) if store else []
        done = {image for part in parts for image in part.records["image"].unique()}
        mine = shard.take(chunked(chosen, batch_size))
        left = [[i for i in block if source.id(i) not in done] for block in mine]
        costs = plan.known_costs(store) or cost.measure_all(named, source, chosen, config, judge)
        plan = replace(plan, costs=costs)
        if store:
            plan.write(store)
        work = Looking(
            named, source, judge, config, plan.recomputed, plan.optional, costs, on_error, workers
        )
        told = not check_labels
        total, made = (sum(map(len, blocks)) * len(named) for blocks in (mine, left))
        with tqdm(total=total, initial=total - made, unit="scanpath", disable=not progress) as bar:

            def tell(scanpaths: int) -> None:
                bar.update(scanpaths)
                if progressed:
                    progressed(scanpaths)

            for part in engine(work, [block for block in left if block], tell):
                parts.append(part)
                if store:
                    store.add(part)
                told = told or label_check.tell(parts, source)
        if not told:
            label_check.tell(parts, source, enough=1)
        if shard.is_whole:
            return plan.end(parts, store, stop_at, patience, draw)
        return plan.share(parts, {source.id(i) for block in mine for i in block}, store)


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
