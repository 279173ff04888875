"""Runs of the paper's analyses as a data set on the Hub: records, findings, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saccade_env.evaluation.hub import finished
from saccade_env.evaluation.part_file import read_whole
from saccade_env.evaluation.plan import PLAN
from saccade_env.evaluation.store import RECORDS, RUN, SUMMARY
from saccade_env.files import read_object, written_by_run
from saccade_env.hub import card
from saccade_env.hub.manifest import Publication, there
from saccade_env.paper.page import FIGURES, TABLES
from saccade_env.paper.results import FINDINGS, RESULTS, RUNS


def publication(folder: Path, repo: str, licence: str | None = None) -> Publication:
    """What is pushed of the paper's analyses; the page, a program, is made again from it.

    Raises:
        OSError: A file is missing or damaged, or a run is not finished; the message names it.
    """
    found, runs = read_object(folder / FINDINGS), _runs(folder)
    for run in runs:
        finished(folder / run)
        read_whole(folder / run / RECORDS)
    drawn = sorted(name for name in written_by_run(folder) if _is_drawn(name))
    kept = [f"{run}/{name}" for run in runs for name in (RUN, PLAN, SUMMARY, RECORDS)]
    names = there(folder, (RUN, RESULTS, FINDINGS, *drawn, *kept))
    tables = {run.rpartition("/")[2]: f"{run}/{RECORDS}" for run in runs}
    body = _body(folder.resolve().name, found, [name for name in names if name.endswith(".png")])
    return Publication(
        "paper", folder, names, card.data_card(folder.resolve().name, licence, tables, body)
    )


def _runs(folder: Path) -> list[str]:
    """The folders of the runs that the run's own manifest lists and that were begun."""
    listed = sorted(name.rstrip("/") for name in written_by_run(folder) if name.endswith("/"))
    return [name for name in listed if name.startswith(f"{RUNS}/") and (folder / name).is_dir()]


def _is_drawn(name: str) -> bool:
    place, _, file = name.rpartition("/")
    return (place, Path(file).suffix) in ((FIGURES, ".png"), (TABLES, ".csv"))


def _body(name: str, found: dict[str, Any], figures: list[str]) -> str:
    run = found["run"]
    rows = [
        [one["statement"], one["verdict"], _effect(one), one["note"]] for one in found["findings"]
    ]
    return "\n\n".join([
        f"# {name}",
        f"The paper’s analyses of saccades with {run['classifier']['name']} on images of "
        f"{run['images']['name']}, seed {run['seed']}.",
        card.table(["what the paper says", "holds here", "effect (95 % interval)", "note"], rows),
        f"```bash\n{run['command']}\n```",
        *(f"![{Path(path).stem}]({path})" for path in figures),
    ])  # fmt: skip


def _effect(one: dict[str, Any]) -> str:
    if one["effect"] is None:
        return "–"
    ends = "" if None in (one["low"], one["high"]) else f" ({one['low']:.2f} to {one['high']:.2f})"
    return f"{one['effect']:.2f}{ends} {one['unit']}"
