"""The paper's analyses with several classifiers: a run each, and how far they agree.

Which policy is best may depend on the network that judges, so that one is no evidence. The output
folder holds an ordinary run of the paper for each classifier, in a folder of its own, and the
report of all of them on top. Policies and the network of single crops are the same for all.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from saccade_env import images
from saccade_env.card import plain
from saccade_env.classifiers import AUTO, Classifier, resolve_auto
from saccade_env.evaluation.store import PARTS, RUN, Store, refuse_another
from saccade_env.files import read_object
from saccade_env.paper.across_page import write_across
from saccade_env.paper.agreement import Agreement, compare
from saccade_env.paper.figures import Output
from saccade_env.paper.findings import Finding
from saccade_env.paper.page import FIGURES, TABLES, slug
from saccade_env.paper.plan import duration
from saccade_env.paper.programme import Cast, MakePolicy
from saccade_env.paper.results import FINDINGS, MAIN, Results
from saccade_env.paper.run import REPORT, refuse_labels, run_paper
from saccade_env.paper.settings import Judge, PaperSettings
from saccade_env.task import check_device

Judges = Mapping[str, Judge]


def run_across(
    settings: PaperSettings,
    classifiers: Judges | Iterable[str | Classifier],
    make_policy: MakePolicy,
) -> Agreement:
    """Run the paper's analyses with each classifier, then compare them.

    What is finished is kept, so that the same command goes on, and one with another classifier
    runs that one alone. The report is on the classifiers that are asked for.

    Args:
        settings: Of every run; ``classifier`` is not looked at. Where no policies are named, all
            runs take those that the first classifier's has, or the ones of the folder.
        classifiers: Names, or built ones; as a mapping also functions that build them, by what
            they are to be called.
        make_policy: See :func:`saccade_env.paper.run.run_paper`.

    Returns:
        Rankings, their agreement and the statements; empty with ``dry_run``, and of a shard.

    Raises:
        FileExistsError: The folder holds another run, or a file that is not the run's own where it
            would write one.
        OSError: The folder cannot be written, or a file in it is damaged.
        ValueError: Two classifiers are the same, or would share a folder; and as ``run_paper``.
    """
    from rich.console import Console

    judges, out, console = named(classifiers), Path(settings.out), Console()
    folders = folders_of(judges)
    settings, identity = _same_for_all(settings, judges, make_policy)
    _refuse_single(out, settings)

    def run(place: int, name: str) -> Results:
        where = f"{name}: {place} of {len(judges)} classifiers, in {out / folders[name]}"
        console.print(f"\n{where}", highlight=False, markup=False)
        own = replace(settings, classifier=judges[name], out=out / folders[name])
        return run_paper(own, make_policy)

    if settings.dry_run:
        if not settings.overwrite:
            refuse_another(out, identity)
        left = sum(run(*each).run["seconds_left"] for each in enumerate(judges, 1))
        console.print(f"\nabout {duration(left)} left for all classifiers", highlight=False)
        return compare({}, {})
    own = [REPORT, FINDINGS, *(f"{folder}/" for folder in folders.values())]
    with Store(out, identity, settings.overwrite, own, settings.shard) as store:
        results = {name: _main(run(place, name)) for place, name in enumerate(judges, 1)}
        if not settings.shard.is_whole:
            return compare({}, {})
        found = compare(results, {name: _findings(out / folders[name]) for name in judges})
        told = {**identity, "command": command(settings, judges)}
        with store.keeping():
            write_across(found, results, folders, told, Output(out, store.claim))
    return found


def named(classifiers: Judges | Iterable[str | Classifier]) -> dict[str, Judge]:
    """Classifiers by what they are called; ``"auto"`` by what it stands for.

    Raises:
        ValueError: There is none, or two are called the same.
    """
    if isinstance(classifiers, Mapping):
        return dict(classifiers)
    judges: dict[str, Judge] = {}
    for each in classifiers:
        judge = resolve_auto() if isinstance(each, str) and each == AUTO else each
        name = judge if isinstance(judge, str) else judge.name
        if name in judges:
            raise ValueError(f"classifier {name!r} is given twice")
        judges[name] = judge
    return judges


def folders_of(names: Iterable[str]) -> dict[str, str]:
    """Name → folder in that of the report.

    Raises:
        ValueError: There is no name, or two would share a folder.
    """
    taken = {own: f"the report’s {own}" for own in (FIGURES, TABLES, PARTS)}
    folders = {}
    for name in names:
        folders[name] = folder = slug(name)
        if folder in taken:
            raise ValueError(
                f"{name!r} and {taken[folder]!r} would share the folder {folder!r}; give one of "
                "them another name"
            )
        taken[folder] = name
    if not folders:
        raise ValueError("expected classifiers; got none")
    return folders


def command(settings: PaperSettings, judges: Judges) -> str:
    """How to run the same again, as far as classifiers have names."""
    names = [name for name, judge in judges.items() if isinstance(judge, str)]
    options = shlex.join(part for name in names for part in ("--classifier", name))
    return f"{replace(settings, classifier=AUTO).command} {options}".strip()


def _same_for_all(
    settings: PaperSettings, judges: Judges, make_policy: MakePolicy
) -> tuple[PaperSettings, dict[str, Any]]:
    """Settings with the parts that all classifiers share, and what makes two sets the same.

    Every classifier is built once with its policies, so that what is wrong is said before the work.
    """
    check_device(settings.device)
    source = images.create(settings.images, **settings.image_keywords)
    kept = {key: getattr(settings, key) for key in ("preset", "limit", "seed")}
    config = asdict(settings.config)
    same = plain({"across": "classifiers", "images": source.identity, "config": config, **kept})
    settings = _as_before(settings, same)
    seen: dict[str, str] = {}
    for name, judge in judges.items():
        own = replace(settings, classifier=judge)
        refuse_labels(source, own)
        cast = Cast(own, make_policy, source.image_size).choose()
        _refuse_twin(name, cast.judge(), seen)
        if settings.policies is None:
            settings = replace(settings, policies=(*cast.roles.values(), *cast.extras))
        if settings.crop_classifier == AUTO:
            settings = replace(settings, crop_classifier=cast.cropper.name)
    cropper = settings.crop_classifier
    parts = {
        "policies": list(settings.policies or ()),
        "crop_classifier": cropper if isinstance(cropper, str) else cropper.name,
    }
    return settings, {**same, **parts}


def _as_before(settings: PaperSettings, same: dict[str, Any]) -> PaperSettings:
    """What is left to choose is chosen as in the folder's run, also if there is more by now."""
    before: dict[str, Any] = {}
    with suppress(OSError):  # there is none, or its folder will say what is wrong with it
        before = read_object(Path(settings.out) / RUN)
    if any(before.get(key, ...) != value for key, value in same.items()):
        return settings
    if settings.policies is None:
        settings = replace(settings, policies=tuple(before["policies"]))
    if settings.crop_classifier == AUTO:
        settings = replace(settings, crop_classifier=before["crop_classifier"])
    return settings


def _refuse_twin(name: str, judge: Classifier, seen: dict[str, str]) -> None:
    network = repr((judge.name, asdict(judge.weights), judge.options))
    if network in seen:
        raise ValueError(
            f"{seen[network]!r} and {name!r} are the same network with the same weights: that they "
            "agree would be no evidence"
        )
    seen[network] = name


def _refuse_single(out: Path, settings: PaperSettings) -> None:
    single = False
    with suppress(OSError):
        single = "roles" in read_object(out / RUN)
    if single and not settings.overwrite:
        raise FileExistsError(
            f"{out} holds the paper's run with a single classifier; several need a folder of their "
            "own, or overwrite it (--overwrite, overwrite=True)"
        )


def _main(results: Results) -> Results:
    """Without the tables that are not compared: those of many classifiers take much memory."""
    there = {name: table for name, table in results.records.items() if name == MAIN}
    return replace(results, records=there)


def _findings(folder: Path) -> list[Finding]:
    return [Finding(**each) for each in read_object(folder / FINDINGS)["findings"]]
