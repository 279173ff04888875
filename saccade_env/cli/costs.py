"""`saccade-env costs`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from saccade_env.cli.making import find_agents, find_policies
from saccade_env.cli.options import BatchSize, Device
from saccade_env.cli.root import app

_MACHINES = (1, 16, 256)


@app.command()
def costs(
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for several. Default: all.", show_default=False),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for several. Default: all.", show_default=False),
    ] = None,
    images: Annotated[
        str, typer.Option(help="Pictures to decode: a folder, or the sample.")
    ] = "sample",
    count: Annotated[
        int, typer.Option(min=1000, help="Images of the paper's programme that is reckoned up.")
    ] = 50_000,
    batch_size: BatchSize = 16,
    device: Device = "cpu",
) -> None:
    """Measure what a saccade, a map, an image and a record cost here, and reckon up the paper's.

    Networks whose weights are not here get random ones, which are just as fast. The programme is
    the paper's in full with DINO and ResNet-50; what it needs is counted, not run.
    """
    from rich.console import Console
    from tqdm.auto import tqdm

    from saccade_env.bench import costs as measured
    from saccade_env.bench.subjects import pictures
    from saccade_env.classifiers import create
    from saccade_env.task import check_device

    check_device(device)
    source, console, rows = pictures(images), Console(), batch_size
    names = classifier or ["efficientnet_lite0", *measured.STANDS_FOR]
    timed = measured.of_classifiers(names, source, device, rows)
    networks = {cost.name: cost for cost in tqdm(timed, "classifiers", len(names))}
    console.print(_table("classifier", "whole image, ms", "a saccade, ms", networks.values()))
    judge = create("efficientnet_lite0", device=device, image_size=source.image_size)
    found = find_policies(policy, 0, device) | ({} if policy else find_agents(judge, 0, device))
    named = {name: build(judge.grid) for name, build in found.items()}
    named = measured.with_stand_ins(named, judge.grid, device) if not policy else named
    timed = measured.of_policies(named.items(), judge, source, rows)
    maps = {cost.name: cost for cost in tqdm(timed, "policies", len(named))}
    console.print(_table("policy", "its map, ms", "beside it a saccade, ms", maps.values()))
    data = measured.of_data(source, rows)
    typer.echo(
        f"an image: {data['file_bytes'] / 1000:.1f} kB, read and decoded in "
        f"{data['decode_ms']:.1f} ms by one thread\n"
        f"a record (image × policy × saccade): {data['record_bytes']:.0f} bytes\n"
        f"keeping the records of {rows} images and five policies: {data['keep_ms']:.1f} ms"
    )
    everything = {**maps, **networks}
    if {"dino_vits16", "resnet50"} <= everything.keys():
        console.print(_reckoned(measured.programme(count), everything, data))
    else:
        typer.echo(
            "the paper's programme is reckoned up where dino_vits16 and resnet50 are measured"
        )


def _table(what: str, once: str, saccade: str, found: Any) -> Any:
    from saccade_env.drawing.text import table

    built = table("", f"{what}, an image", once, saccade)
    for cost in found:
        built.add_row(cost.name, *(f"{ms:.2f}" if ms else "" for ms in (cost.once, cost.saccade)))
    return built


def _reckoned(load: Any, costs: Any, data: dict[str, float]) -> Any:
    """Time on several machines if nothing waits, and what flows then."""
    from saccade_env.drawing.text import table
    from saccade_env.paper.plan import duration

    whole = load.machine_seconds(costs, data["decode_ms"])
    built = table("", "machines", "time", "images read a second", "MB read a second",
                  "batches a second")  # fmt: skip
    for machines in _MACHINES:
        seconds = whole / machines
        read = load.wholes / seconds
        flows = read, read * data["file_bytes"] / 1e6, load.batches / seconds
        built.add_row(str(machines), duration(seconds), *(f"{flow:.2f}" for flow in flows))
    return built
