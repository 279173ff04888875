"""All experiments of the paper in one go; stopped at any moment, it goes on from there.

One evaluation a run, each in a folder of its own below ``runs/``; then the figures and findings
that are read off them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from saccade_env import core, images
from saccade_env.card import card, describe_policy
from saccade_env.evaluation import evaluate, label_check
from saccade_env.evaluation.store import Store, refuse_another
from saccade_env.files import write_json
from saccade_env.images import ImageSource
from saccade_env.paper import cost, figures, page
from saccade_env.paper.findings import RULE
from saccade_env.paper.plan import Line, make_plan, show
from saccade_env.paper.programme import Cast, MakePolicy, Programme
from saccade_env.paper.results import (
    COMBINED,
    FINDINGS,
    MAIN,
    RESULTS,
    RUNS,
    Results,
    described_in,
    load_results,
    name_of,
)
from saccade_env.paper.settings import PaperSettings
from saccade_env.task import check_device

REPORT = "report.html"


def run_paper(settings: PaperSettings, make_policy: MakePolicy) -> Results:
    """Print the plan, run what is not finished, read the tables and write the report.

    Args:
        settings: What to run on what.
        make_policy: Builds a policy from a name with parameters and a token grid (rows, cols).

    Returns:
        What is in the folder; with ``dry_run`` nothing but the roles, what would be run and the
        seconds that it may take (``run["seconds_left"]``).

    Raises:
        BrokenImageError: An image cannot be read and ``on_error="raise"``.
        FileExistsError: The folder holds another run, or a file that is not the run's own where it
            would write one.
        OSError: The folder cannot be written, or a file in it is damaged.
        ValueError: Images have no labels, or a name or number is wrong; the message says which.
    """
    from rich.console import Console

    built = prepare(settings, make_policy)
    out, identity, console = Path(settings.out), _identity(built), Console()
    if settings.dry_run:
        if not settings.overwrite:
            refuse_another(out, identity)
        left = show(make_plan(built), built.cast.notes, console)
        return Results(
            built.cast.roles, {}, run={**_card(built, settings.only), "seconds_left": left}
        )
    own = names_of(run.folder for run in built.runs.values())
    with Store(out, identity, settings.overwrite, own, settings.shard) as store:
        described_in(out)  # a damaged one is refused before the work
        plan = make_plan(built)
        show(plan, built.cast.notes, console)
        store.write_json(RESULTS, _description(built, described_in(out)))
        _run_all(built, plan)
        folder = figures.Output(out, store.claim)
        if settings.shard.index == 0:
            drawn = figures.pictures.draw(built.cast, settings.figures, folder)
            store.write_json(RESULTS, _description(built, described_in(out), drawn))
        results = load_results(out)
        if settings.shard.is_whole:
            with store.keeping():
                write_report(results, folder)
    return results


def names_of(runs: Iterable[str]) -> list[str]:
    """What a run of the paper writes, of these runs."""
    return [RESULTS, REPORT, FINDINGS, *(f"{RUNS}/{run}/" for run in runs)]


def prepare(settings: PaperSettings, make_policy: MakePolicy) -> Programme:
    """Open images, classifiers and policies, and see what can be run.

    Raises:
        ValueError: Images have no labels, or a name or number is wrong; the message says which.

    Warns:
        LabelWarning: Labels seem to mean something else than the classifier's classes.
    """
    check_device(settings.device)
    source = images.create(settings.images, **settings.image_keywords)
    refuse_labels(source, settings)
    cast = Cast(settings, make_policy, source.image_size)
    cast.choose()
    label_check.tell_of(source, cast.judge())
    return Programme(cast, source)


def refuse_labels(source: ImageSource, settings: PaperSettings) -> None:
    """Refuse images without labels, or with classes that a named classifier does not know.

    Raises:
        ValueError: They have none, or others; the message says what to do.
    """
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


def _run_all(built: Programme, plan: list[Line]) -> None:
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    total = _milliseconds(sum(line.seconds for line in plan))
    silent = not (built.settings.progress and plan)
    with tqdm(total=total, bar_format=form, disable=silent) as bar:

        def spent(seconds: float) -> None:
            bar.update(min(_milliseconds(seconds), total - bar.n))  # parts may exceed the whole

        for line in plan:
            bar.set_description(line.run.name)
            if not silent:  # what is there already took no time
                bar.initial += _milliseconds(line.seconds - line.seconds_left)
            spent(line.seconds - line.seconds_left)
            _run(built, line, spent)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)  # whole ones: sums of fractions may end just above their total


def _run(built: Programme, line: Line, spent: Callable[[float], None]) -> None:
    run, settings = line.run, built.settings
    share = line.seconds_an_image / len(run.policies)
    evaluate(
        {name: built.cast.policy(name, run.config.grid) for name in run.policies},
        run.source,
        run.judge,
        run.config,
        seed=settings.seed,
        batch_size=settings.batch_size,
        workers=settings.workers,
        device=settings.device,
        out=Path(settings.out) / RUNS / run.folder,
        overwrite=settings.overwrite,
        on_error=settings.on_error,
        progress=False,
        progressed=lambda scanpaths: spent(scanpaths * share),
        map_entropy=run.name == MAIN,
        check_labels=False,  # said before
        draw=False,  # the report has figures of its own
        shard=built.shard(run),
        engine=settings.engine,
    )


def _identity(built: Programme) -> dict[str, Any]:
    """What makes two runs of the paper the same, whichever figures they are for."""
    settings, cast = built.settings, built.cast
    judge: Any = cast.judge()
    everyone = [*cast.roles.values(), *cast.extras]
    return {
        **card(settings.config.on(judge.grid), judge, built.source),
        "roles": cast.roles,
        "policies": {name: describe_policy(cast.policy_here(name)) for name in everyone},
        "crop_classifier": {"name": cast.cropper.name, "weights": asdict(cast.cropper.weights)},
        **{key: getattr(settings, key) for key in ("preset", "limit", "seed")},
    }


def _card(built: Programme, only: tuple[int, ...] | None) -> dict[str, Any]:
    return {
        **_identity(built),
        "weights": built.cast.judge().weights.source,
        "command": replace(built.settings, only=only).command,
        "paper_setting": built.cast.papers_networks,
        "image_counts": {name: len(run.source) for name, run in built.runs.items()},
        "notes": list(built.cast.notes),
    }


def _description(
    built: Programme, before: dict[str, Any], pictures: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """What turns the files of the runs into results, with figures and pictures of before."""
    wanted = {*before.get("figures", ()), *built.settings.figures}
    asked = [number for number in figures.RECIPES if number in wanted]
    drawn = {each["figure"]: each for each in (*before.get("pictures", ()), *pictures)}
    experiments = {
        name: {
            "runs": [built.runs[other].folder for other in (*run.others, name)],
            "settings": run.settings,
            "grid": list(run.config.grid),
        }
        for name, run in built.runs.items()
    }
    return {
        "roles": built.cast.roles,
        "experiments": experiments,
        "run": {
            **_card(built, None if asked == [*figures.RECIPES] else tuple(asked)),
            "flops": before.get("run", {}).get("flops") or _flops(built, asked),
        },
        "figures": asked,
        "pictures": [drawn[figure] for figure in sorted(drawn)],
    }


def _flops(built: Programme, asked: Iterable[int]) -> Mapping[str, Any]:
    """What maps and classifications cost, if a figure shows every layer at every resolution."""
    wanted = {name for number in asked for name in figures.RECIPES[number].experiments}
    if COMBINED not in wanted or COMBINED not in built.runs:
        return {}
    run = built.runs[COMBINED]
    names = [row["policy"] for row in run.settings]
    policies = {name: built.cast.policy(name, run.config.grid) for name in names}
    maps = {name: who for name, who in policies.items() if isinstance(who, core.HasMaps)}
    return cost.count(run.judge, maps, run.source.image_size)


def write_report(results: Results, out: figures.Output, warnings: Iterable[str] = ()) -> Path:
    """Write ``report.html``, ``findings.json``, ``figures/`` and ``tables/*.csv``.

    The same results give the same tables and findings.

    Args:
        results: Of the paper's experiments; what is missing is said in the report.
        out: Where it goes.
        warnings: What the reader has to beware of, besides the notes of the run.

    Returns:
        The path of the page.
    """
    recipes, doubt = figures.asked(results.figures), results.suspicion()
    found = [finding for recipe in recipes for finding in recipe.findings(results)]
    noted = [*([doubt] if doubt else []), *warnings, *results.run.get("notes", ())]
    sections = [recipe.section(results, out) for recipe in recipes]
    write_json(out.place(FINDINGS), page.findings_json(found, results.run))
    made = page.Page(
        title="The paper’s analyses of saccades",
        summary=summary(results),
        warnings=list(dict.fromkeys(noted)),
        findings=found,
        sections=sections,
    )
    return page.write(made, out.place(REPORT))


def summary(results: Results) -> dict[str, str]:
    """What was run, name by name, as text."""
    run, source = results.run, results.run.get("images", {})
    counts = {name: table["image"].nunique() for name, table in results.records.items()}
    versions = run.get("versions", {}).items()
    told = {
        "networks": results.networks().removeprefix("Networks: "),
        "weights": run.get("weights"),
        "weights hash": run.get("classifier", {}).get("weights", {}).get("sha256"),
        "single crops": name_of(results.name("crop_classifier")),
        "images": source and f"{source['name']} (a folder of {source['count']} images)",
        "parts": ", ".join(f"{role}: {policy}" for role, policy in results.roles.items()),
        "experiments": ", ".join(f"{name} ({count} images)" for name, count in counts.items()),
        "versions": ", ".join(f"{name} {version}" for name, version in versions),
        **{name: run.get(name) for name in ("preset", "limit", "seed", "command")},
        "verdicts": RULE,
    }
    return {name: str(text) for name, text in told.items() if text not in (None, "", {})}
