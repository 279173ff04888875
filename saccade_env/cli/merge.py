"""`saccade-env merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade_env.cli.console import numbers
from saccade_env.cli.options import Overwrite, Patience, StopAt, as_path
from saccade_env.cli.root import app


@app.command()
def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR…", help="What shards have written: a folder that they share, or several."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=as_path, metavar="DIR", help="Folder of the whole run; may be one of these."
        ),
    ],
    overwrite: Overwrite = False,
    stop_at: StopAt = None,
    patience: Patience = 1,
) -> None:
    """Put together what shards of an evaluation, or of the paper's analyses, have done.

    It needs neither images nor networks. Images that are missing or double are named, and what is
    damaged or of another run is refused.
    """
    from rich.console import Console

    from saccade_env import evaluation
    from saccade_env.evaluation import report
    from saccade_env.evaluation.metrics import THRESHOLDS
    from saccade_env.evaluation.store import RUN
    from saccade_env.files import read_object
    from saccade_env.paper.merge import merge_paper
    from saccade_env.paper.results import RESULTS
    from saccade_env.paper.run import REPORT

    for folder in folders:
        if (folder / RUN).exists() and "across" in read_object(folder / RUN):
            raise ValueError(
                f"{folder} holds runs of the paper with several classifiers: put together the "
                "folder of each; the same command without --shard then writes their report"
            )
    if any((folder / RESULTS).exists() for folder in folders):
        if stop_at is not None or patience != 1:
            raise ValueError("--stop-at and --patience are for evaluations, not the paper's runs")
        merge_paper(folders, out, overwrite)
        typer.echo(f"wrote {out / REPORT}")
        return
    thresholds = THRESHOLDS if stop_at is None else numbers(stop_at)
    found = evaluation.merge(folders, out, overwrite, thresholds, patience)
    report.show(found.summary, Console())
    typer.echo(f"wrote {out / 'records.parquet'}\nwrote {out / 'summary.json'}")
