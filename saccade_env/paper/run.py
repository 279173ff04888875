"""All experiments of the paper in one go; stopped at any moment, it goes on from there.

What the folder holds is described in ``stored.py``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from saccade_env import images
from saccade_env.card import card, describe_policy
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate
from saccade_env.evaluation.store import Store, refuse_another
from saccade_env.images import ImageSource
from saccade_env.paper import pictures
from saccade_env.paper.cast import Cast, MakePolicy
from saccade_env.paper.experiments import Programme
from saccade_env.paper.page import FIGURES
from saccade_env.paper.plan import Line, Plan, make_plan
from saccade_env.paper.programme import programme
from saccade_env.paper.results import FOVEA, Results
from saccade_env.paper.scans import scan
from saccade_env.paper.settings import FIGURES as FIGURE_NUMBERS
from saccade_env.paper.settings import PICTURES, PaperSettings
from saccade_env.paper.stored import (
    FINDINGS,
    REPORT,
    RESULTS,
    RUNS,
    TABLES,
    is_whole,
    kept_figures,
    kept_pictures,
    load_results,
)
from saccade_env.task import check_device


def run_paper(settings: PaperSettings, make_policy: MakePolicy) -> Results:
    """Print the plan, run what is not finished, and read the tables.

    Args:
        settings: What to run on what.
        make_policy: Builds a policy from a name with parameters and a token grid (rows, cols).

    Returns:
        What is in the folder; with ``dry_run`` nothing but the roles and what would be run.

    Raises:
        BrokenImageError: An image cannot be read and ``on_error="raise"``.
        FileExistsError: The folder holds another run.
        ValueError: Images have no labels, or a name or number is wrong; the message says which.
    """
    from rich.console import Console

    built = prepare(settings, make_policy)
    out = Path(settings.out)
    if settings.dry_run:
        if not settings.overwrite:
            refuse_another(out, _identity(built))
        make_plan(built).show(Console())
        return Results(built.cast.roles, {}, run=_card(built))
    with _open(out, _identity(built), settings.overwrite) as store:
        plan, kept = make_plan(built), kept_pictures(out)
        plan.show(Console())
        asked = sorted({*kept_figures(out), *settings.figures})
        store.write_json(RESULTS, _description(built, kept, asked))
        _run_all(built, plan)
        for drawn in pictures.draw(built.cast, out, [n for n in settings.figures if n in PICTURES]):
            kept[drawn.figure] = drawn._asdict()
        store.write_json(RESULTS, _description(built, kept, asked))
    return load_results(out)


def prepare(settings: PaperSettings, make_policy: MakePolicy) -> Programme:
    """Open images, classifiers and policies, and see what can be run.

    Raises:
        ValueError: Images have no labels, or a name or number is wrong; the message says which.
    """
    check_device(settings.device)
    source = images.create(settings.images)
    _refuse_labels(source, settings)
    cast = Cast(settings, make_policy, source.image_size)
    cast.choose()
    return programme(settings, cast, source)


def _run_all(built: Programme, plan: Plan) -> None:
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    total = sum(line.seconds for line in plan.lines)
    silent = not (built.settings.progress and plan.lines)
    with tqdm(total=total, bar_format=form, disable=silent) as bar:

        def spent(seconds: float) -> None:
            bar.update(min(seconds, total - bar.n))  # sums of parts may exceed the whole a little

        for line in plan.lines:
            bar.set_description(line.run.name)
            if not silent:  # what is there already took no time
                bar.initial += line.seconds - line.seconds_left
            spent(line.seconds - line.seconds_left)
            _run(built, line, spent)


def _run(built: Programme, line: Line, spent: Callable[[float], None]) -> None:
    run, settings, cast = line.run, built.settings, built.cast
    out = Path(settings.out) / RUNS / run.folder
    if line.done == len(run.source) and is_whole(out):  # the whole folder is of this run
        return
    if run.kind != "evaluation":
        scan(run, cast, settings, out, lambda n: spent(n * line.seconds_an_image))
        return
    share = line.seconds_an_image / len(run.policies)
    evaluate(
        {name: cast.policy(name, run.grid) for name in run.policies},
        run.source,
        cast.judge(run.source.image_size),
        SaccadeConfig(run.grid, run.fovea, settings.saccades),
        seed=settings.seed,
        batch_size=settings.batch_size,
        workers=settings.workers,
        device=settings.device,
        out=out,
        overwrite=settings.overwrite,
        on_error=settings.on_error,
        progress=False,
        progressed=lambda scanpaths: spent(scanpaths * share),
    )


def _open(out: Path, identity: dict[str, Any], overwrite: bool) -> Store:
    try:
        return Store(out, identity)
    except FileExistsError:
        if not overwrite:
            raise
    for folder in (RUNS, FIGURES, TABLES):  # nothing of the other run stays
        shutil.rmtree(out / folder, ignore_errors=True)
    for file in (RESULTS, REPORT, FINDINGS):
        (out / file).unlink(missing_ok=True)
    return Store(out, identity, overwrite=True)


def _identity(built: Programme) -> dict[str, Any]:
    """What makes two runs of the paper the same, whichever figures they are for."""
    settings, cast = built.settings, built.cast
    judge: Any = cast.judge()
    everyone = [*cast.roles.values(), *cast.extras]
    return {
        **card(SaccadeConfig(judge.grid, FOVEA, settings.saccades), judge, built.source),
        "roles": cast.roles,
        "policies": {name: describe_policy(cast.policy_here(name)) for name in everyone},
        "crop_classifier": {"name": cast.cropper.name, "weights": asdict(cast.cropper.weights)},
        **{key: getattr(settings, key) for key in ("preset", "limit", "seed")},
    }


def _card(built: Programme, asked: tuple[int, ...] | None = None) -> dict[str, Any]:
    return {
        **_identity(built),
        "weights": built.cast.judge().weights.source,
        "command": replace(built.settings, only=asked or built.settings.only).command,
        "paper_setting": built.cast.papers_networks,
        "image_counts": {name: len(run.source) for name, run in built.runs.items()},
        "notes": list(built.cast.notes),
    }


def _description(
    built: Programme, drawn: dict[int, dict[str, Any]], asked: list[int]
) -> dict[str, Any]:
    """What turns the files of the runs into results."""
    experiments = {
        name: {
            "runs": [built.runs[run].folder for run in each.runs],
            "settings": each.settings,
            "grid": list(each.grid),
        }
        for name, each in built.experiments.items()
    }
    return {
        "roles": built.cast.roles,
        "experiments": experiments,
        "run": _card(built, None if asked == sorted(FIGURE_NUMBERS) else tuple(asked)),
        "figures": asked,
        "pictures": [drawn[figure] for figure in sorted(drawn)],
    }


def _refuse_labels(source: ImageSource, settings: PaperSettings) -> None:
    if source.labels == "own" and isinstance(settings.classifier, str):
        raise ValueError(
            f"the folders of {source.name!r} are classes of its own, which {settings.classifier!r} "
            "does not know: nothing could be right; name them by their ImageNet synset, such as "
            "n02123045, or hand in a classifier of these classes (PaperSettings.classifier)"
        )
    if source.labels == "none":
        raise ValueError(
            f"the paper's analyses need labels, and {source.name!r} has no class folders; sort "
            "the pictures into folders named by their ImageNet synset, such as n02123045"
        )
