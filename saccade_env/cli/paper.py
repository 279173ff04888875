"""`saccade-env paper`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from saccade_env.cli.console import kept_on_interrupt, whole_numbers
from saccade_env.cli.making import check_classifier, find
from saccade_env.cli.options import (
    Address,
    BatchSize,
    CpusPerWorker,
    Device,
    Engine,
    GpusPerWorker,
    Images,
    Labels,
    Limit,
    OnError,
    Overwrite,
    Seed,
    ShardOption,
    Workers,
    as_path,
)
from saccade_env.cli.root import app
from saccade_env.cli.spreading import engine_of, say_share, shard_of


@app.command()
def paper(
    out: Annotated[
        Path,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Folder; the same command goes on where it stopped.",
        ),
    ],
    images: Images = None,
    labels: Labels = None,
    preset: Annotated[
        str, typer.Option(help="quick (fewer images where costly) or full.")
    ] = "quick",
    only: Annotated[
        str | None, typer.Option(help="Figures to make: 3,5,10. Default: all.", show_default=False)
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="Name, or 'auto'; parameters follow a colon. Repeat for several: a run and report "
            "for each, and one on how far their rankings of the policies agree.",
            show_default="auto",
        ),
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(
            help="Policy to compare; repeat for several. Default: the paper's, or what stands for "
            "them without the network.",
            show_default=False,
        ),
    ] = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    overwrite: Overwrite = False,
    on_error: OnError = "raise",
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    device: Device = "cpu",
    shard: ShardOption = None,
    engine: Engine = "here",
    address: Address = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0,
) -> None:
    """Run the paper's analyses and write a report of what holds here."""
    from saccade_env.paper.across import run_across
    from saccade_env.paper.run import REPORT, run_paper
    from saccade_env.paper.settings import PaperSettings

    found = cache(lambda name: find(name, seed, device))  # of the Hub one commit, all along

    def make(name: str, grid: tuple[int, int]) -> Any:
        return found(name)(grid)

    with kept_on_interrupt(out):
        first, *others = names = classifier or ["auto"]
        for name in names:
            check_classifier(name)
        figures = tuple(whole_numbers(only)) if only is not None else None
        settings = PaperSettings(
            images, out, preset, figures, first,
            labels=labels, policies=tuple(policies) if policies else None, limit=limit, seed=seed,
            batch_size=batch_size, workers=workers, device=device, overwrite=overwrite,
            on_error=on_error, dry_run=dry_run, shard=shard_of(shard),
            engine=engine_of(engine, address, cpus_per_worker, gpus_per_worker),
        )  # fmt: skip
        if others:
            run_across(settings, names, make)
        else:
            run_paper(settings, make)
        if dry_run:
            return
        if settings.shard.is_whole:
            typer.echo(f"wrote {out / REPORT}")
        else:
            say_share(settings.shard, out)
