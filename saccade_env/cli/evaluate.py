"""`saccade-env evaluate` and `record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade_env.cli.console import (
    best,
    default_folder,
    file_name,
    kept_on_interrupt,
    note,
    numbers,
    worth_showing,
)
from saccade_env.cli.making import (
    USUAL,
    check_classifier,
    find_agents,
    find_policies,
    open_images,
    record_episode,
    usual_policy,
)
from saccade_env.cli.options import (
    POLICY,
    Address,
    BatchSize,
    ClassifierName,
    CpusPerWorker,
    Device,
    Engine,
    Fovea,
    GpusPerWorker,
    Images,
    Labels,
    Limit,
    OnError,
    Overwrite,
    Patience,
    Saccades,
    Seed,
    ShardOption,
    StopAt,
    Workers,
    as_path,
)
from saccade_env.cli.root import app
from saccade_env.cli.spreading import engine_of, say_share, shard_of


@app.command()
def evaluate(
    images: Images = None,
    labels: Labels = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Policy to evaluate; repeat for several. {POLICY} "
            "Default: all policies and shipped agents that can run without a download, slow ones "
            "left out.",
            show_default=False,
        ),
    ] = None,
    classifier: ClassifierName = "auto",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            metavar="PATH",
            help="Output folder. Default: saccade-runs/ and a name made from the options, so that "
            "the same command goes on where it stopped.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    on_error: OnError = "raise",
    gif: Annotated[
        bool, typer.Option(help="Record the best policy on an image that it gets right.")
    ] = True,
    stop_at: StopAt = None,
    patience: Patience = 1,
    shard: ShardOption = None,
    engine: Engine = "here",
    address: Address = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0,
) -> None:
    """Evaluate policies: a table, records, figures and a GIF.

    Without options: all policies and shipped agents that can run without a download, on the shipped
    pictures. Slow ones (see `saccade-env list`) are left out.
    """
    from rich.console import Console

    from saccade_env import evaluation
    from saccade_env.config import SaccadeConfig
    from saccade_env.evaluation import report
    from saccade_env.evaluation.metrics import THRESHOLDS, check_rule
    from saccade_env.evaluation.plan import FIGURES
    from saccade_env.task import open_pair

    share = shard_of(shard)
    doing = engine_of(engine, address, cpus_per_worker, gpus_per_worker)
    thresholds = THRESHOLDS if stop_at is None else numbers(stop_at)
    check_rule(thresholds, patience)
    check_classifier(classifier)
    found = find_policies(policy, seed, device)
    source, judge = open_pair(open_images(images, labels), classifier, device)
    if not policy:
        found |= find_agents(judge, seed, device)
    config = SaccadeConfig(judge.grid, fovea, saccades)
    policies = {name: build(judge.grid) for name, build in found.items()}
    folder = out or default_folder(
        classifier if ":" in classifier else judge.name,
        source,
        list(policies),
        fovea=fovea,
        saccades=saccades,
        limit=limit,
        seed=seed,
    )
    with kept_on_interrupt(folder):
        result = evaluation.evaluate(
            policies,
            source,
            judge,
            config,
            limit=limit,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            device=device,
            out=folder,
            overwrite=overwrite,
            on_error=on_error,
            stop_at=thresholds,
            patience=patience,
            map_entropy=True,
            files=[f"scanpath-{file_name(name)}.gif" for name in policies] if gif else (),
            shard=share,
            engine=doing,
        )
    if not share.is_whole:
        if result.records.empty and not result.summary["skipped"]:
            note("there are fewer batches than shards, none for this one: see --batch-size")
        say_share(share, folder)
        return
    report.show(result.summary, Console())
    written = [folder / name for name in ("records.parquet", "summary.json")]
    written += [folder / figure for figure in FIGURES if (folder / figure).exists()]
    if gif:
        winner = best(result.summary)
        shown = worth_showing(result.records, winner)
        index = next(i for i in range(len(source)) if source.id(i) == shown)
        film = folder / f"scanpath-{file_name(winner)}.gif"
        record_episode(source, judge, {winner: policies[winner]}, film, index, seed, config)
        written.append(film)
    for file in written:
        typer.echo(f"wrote {file}")


@app.command()
def record(
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Policy to record; repeat for several side by side in an .html file. {POLICY} "
            f"Default: the first of {', '.join(USUAL)} that can run without a download.",
            show_default=False,
        ),
    ] = None,
    images: Images = None,
    labels: Labels = None,
    index: Annotated[int, typer.Option(min=0, help="Which picture of the images.")] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="A film (.gif, .mp4), a page that plays it saccade by saccade (.html), or what "
            "the page plays (.json)."
        ),
    ] = Path("scanpath.gif"),
    classifier: ClassifierName = "auto",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Record one episode of a policy as a film, or of several to be played in a browser."""
    from saccade_env import rendering
    from saccade_env.config import SaccadeConfig
    from saccade_env.files import check_writable
    from saccade_env.images import Collection
    from saccade_env.task import open_pair

    policy = policy or [usual_policy()]
    if len({*policy}) < len(policy):
        raise ValueError(f"a policy is recorded once; got {', '.join(policy)}")
    rendering.check_record(out, len(policy))  # refuses before anything is played
    check_writable(out)
    check_classifier(classifier)
    found = find_policies(policy, seed, device)
    source, judge = open_pair(open_images(images, labels), classifier, device)
    config = SaccadeConfig(judge.grid, fovea, saccades)
    if isinstance(source, Collection) and Path(source.root).resolve() in out.resolve().parents:
        raise ValueError(
            f"{out} lies in the folder of the images and would count as one; take another --out"
        )
    if index >= len(source):
        raise ValueError(f"--index must be below {len(source)}, the number of images; got {index}")
    policies = {name: build(judge.grid) for name, build in found.items()}
    record_episode(source, judge, policies, out, index, seed, config)
    typer.echo(f"wrote {out}")
