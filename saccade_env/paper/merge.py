"""Shards of the paper's experiments put together, run by run, and their report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saccade_env.evaluation.merge import gather, put
from saccade_env.evaluation.part_file import difference
from saccade_env.evaluation.plan import Plan
from saccade_env.evaluation.records import Part
from saccade_env.evaluation.store import RUN, Store
from saccade_env.files import read_object, replacing
from saccade_env.paper.figures import RECIPES, Output
from saccade_env.paper.results import (
    PICTURE_FILES,
    RESULTS,
    RUNS,
    Results,
    described_in,
    load_results,
)
from saccade_env.paper.run import names_of, write_report


def merge_paper(folders: Sequence[str | Path], out: str | Path, overwrite: bool = False) -> Results:
    """Put the shards of the paper's experiments together and write the report.

    Args:
        folders: Where shards have written: one folder that they share, or several.
        out: Folder of the whole; it may be one of them. It gets what
            :func:`saccade_env.paper.run.run_paper` writes.
        overwrite: Drop another run in ``out`` instead of refusing.

    Returns:
        What is in the folder now.

    Raises:
        FileExistsError: ``out`` holds another run, or a file that is not a run's where this run
            would write one.
        OSError: A folder holds no run of the paper, or a file in it is damaged or of another run.
        ValueError: Images are missing or double, or the folders hold different runs; the message
            names them, for all experiments.
    """
    homes, target = [Path(folder) for folder in folders], Path(out)
    run, described = _same_run(homes), _described(homes)
    runs = _needed(described)
    gathered = _gather(homes, target, runs)
    with Store(target, run, overwrite, names_of(runs)) as store:
        for name in runs:
            put(*gathered.pop(name), target / RUNS / name, overwrite, draw=False)
        store.write_json(RESULTS, described)
        folder = Output(target, store.claim)
        _copy_pictures(described, homes, folder)
        results = load_results(target)
        with store.keeping():
            write_report(results, folder)
    return results


def _same_run(homes: Sequence[Path]) -> dict[str, Any]:
    runs = [read_object(home / RUN) for home in homes if (home / RUN).exists()]
    if len(runs) != len(homes) or not runs:
        lacking = [str(home) for home in homes if not (home / RUN).exists()]
        raise FileNotFoundError(f"no run of the paper in {', '.join(lacking) or 'no folder'}")
    for home, run in zip(homes, runs, strict=True):
        if run != runs[0]:
            differ = difference(run, runs[0])
            raise ValueError(f"{home} holds another run than {homes[0]}, with other {differ}")
    return runs[0]


def _described(homes: Sequence[Path]) -> dict[str, Any]:
    """What turns the runs into results: of all figures asked for, with all pictures drawn."""
    found = [described_in(home) for home in homes]
    for home, one in zip(homes, found, strict=True):
        if not one:
            raise FileNotFoundError(f"{home} holds no results of the paper ({RESULTS})")
    drawn = {picture["figure"]: picture for one in found for picture in one["pictures"]}
    wanted = {figure for one in found for figure in one["figures"]}
    counted = (one["run"].get("flops") for one in found)  # by shards that were asked for it
    return {
        **found[0],
        "run": {**found[0]["run"], "flops": next(filter(None, counted), {})},
        "figures": [figure for figure in RECIPES if figure in wanted],
        "pictures": [drawn[figure] for figure in sorted(drawn)],
    }


def _needed(described: dict[str, Any]) -> list[str]:
    """Folders of the runs that the figures are read off, in order."""
    experiments = described["experiments"]
    names = [name for figure in described["figures"] for name in RECIPES[figure].experiments]
    wanted = {run for name in names if name in experiments for run in experiments[name]["runs"]}
    everything = dict.fromkeys(run for one in experiments.values() for run in one["runs"])
    return [run for run in everything if run in wanted]


def _gather(
    homes: Sequence[Path], out: Path, runs: Sequence[str]
) -> dict[str, tuple[Plan, list[Part]]]:
    """What shards have made of each run, if everything is there, and once: all or nothing."""
    gathered, lacking = {}, []
    for run in runs:
        there = [home / RUNS / run for home in homes if (home / RUNS / run / RUN).exists()]
        try:
            if not there:
                raise ValueError(f"missing: no shard has begun {RUNS}/{run}")
            gathered[run] = gather(there, out / RUNS / run)
        except ValueError as error:
            lacking.append(str(error))
    if lacking:
        raise ValueError("\n".join(lacking))
    return gathered


def _copy_pictures(described: dict[str, Any], homes: Sequence[Path], out: Output) -> None:
    pictures = described["pictures"]
    for name in (drawn[kind] for drawn in pictures for kind in PICTURE_FILES if kind in drawn):
        place = out.place(name)
        found = [home / name for home in homes if (home / name).is_file()]
        if found and place not in found:
            with replacing(place) as temporary:
                shutil.copyfile(found[0], temporary)
