"""The folder of the paper's experiments, read back.

It holds ``run.json`` (what it is), ``results.json`` (what the tables mean), ``runs/`` with a folder
a run, and ``figures/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.evaluation.store import PARTS, RECORDS, read_whole
from saccade_env.paper.results import Results

RESULTS, RUNS = "results.json", "runs"
REPORT, FINDINGS, TABLES = "report.html", "findings.json", "tables"


def load_results(out: str | Path) -> Results:
    """Tables of the experiments that are finished in a folder, so that figures can be redrawn.

    Raises:
        FileNotFoundError: The folder holds no results of the paper.
    """
    folder = Path(out)
    if not (described := _read(folder)):
        raise FileNotFoundError(f"{folder} holds no results of the paper ({RESULTS})")
    tables = {name: _table(folder, each) for name, each in described["experiments"].items()}
    there = {name: table for name, table in tables.items() if table is not None}
    experiments = {name: described["experiments"][name] for name in there}
    return Results(
        roles=described["roles"],
        entropies=there.pop("entropies", None),
        crops=there.pop("crops", None),
        records=there,
        settings={name: pd.DataFrame(each["settings"]) for name, each in experiments.items()},
        grids={name: tuple(each["grid"]) for name, each in experiments.items()},
        run={**described["run"], "pictures": described["pictures"]},
        figures=tuple(described["figures"]),
    )


def _table(folder: Path, described: dict[str, Any]) -> pd.DataFrame | None:
    """Rows of an experiment's policies, on the images that all its runs have."""
    homes = [folder / RUNS / name for name in described["runs"]]
    if not all(map(is_whole, homes)):
        return None
    parts = [read_whole(home / RECORDS) for home in homes]
    common = set.intersection(*(set(part["image"]) for part in parts))
    table = pd.concat(parts, ignore_index=True)
    policies = [row["policy"] for row in described["settings"]]
    own = table[table["policy"].isin(policies) & table["image"].isin(common)]
    return own.reset_index(drop=True)


def _read(folder: Path) -> dict[str, Any]:
    """What ``results.json`` holds; empty if it is not there."""
    path = folder / RESULTS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def kept_pictures(folder: Path) -> dict[int, dict[str, Any]]:
    """Pictures drawn for other figures before."""
    return {drawn["figure"]: drawn for drawn in _read(folder).get("pictures", [])}


def kept_figures(folder: Path) -> list[int]:
    """Figures that were asked of this folder before: its report shows them too."""
    return _read(folder).get("figures", [])


def is_whole(home: Path) -> bool:
    """Whether a run has come to its end; one killed there still has parts."""
    return (home / RECORDS).exists() and not any((home / PARTS).glob("*.parquet"))


def finished(home: Path) -> int:
    """How many images of a run are finished."""
    files = [home / RECORDS, *(home / PARTS).glob("*.parquet")]
    parts = [read_whole(path, ["image"]) for path in files if path.exists()]
    return pd.concat(parts)["image"].nunique() if parts else 0
