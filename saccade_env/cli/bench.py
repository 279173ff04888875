"""`saccade-env bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade_env.cli.options import Device
from saccade_env.cli.root import app
from saccade_env.drawing.text import table

if TYPE_CHECKING:
    from saccade_env.bench import Line


@app.command()
def bench(
    images: Annotated[
        str | None,
        typer.Option(help="Folder of pictures. Default: the sample.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="End after about three minutes.")] = False,
    device: Device = "cpu",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the table to this file too.")
    ] = None,
) -> None:
    """Measure the environment against its bare classifier, naive loops and other environments.

    Every line is a ratio of times taken in turn in this run, but for those of the page. The
    transformer is ViT-S/16, with random weights where DINO's are not cached: they are just as fast.
    With --device, networks run there, but for the lines forward, machinery and import; targets were
    set on CPUs.
    """
    import torch
    from rich.console import Console

    from saccade_env import bench as benchmark
    from saccade_env.files import check_writable, write_json
    from saccade_env.task import check_device

    console = Console()
    check_device(device)
    if json_file is not None:
        check_writable(json_file)
    plan = benchmark.Plan.of(quick, device)
    lines = list(benchmark.measure(plan, images))
    if json_file is not None:
        write_json(json_file, benchmark.as_json(lines))
    console.print(lines_table(lines))
    for line in lines:
        typer.echo(f"{line.name}: {line.meaning}")
    typer.echo(f"torch threads: {torch.get_num_threads()}")
    console.print(cost_table(benchmark.cost_per_saccade(plan, images)))
    if json_file is not None:
        typer.echo(f"wrote {json_file}")


def lines_table(lines: Sequence[Line]) -> Any:
    """The lines as a rich table."""
    built = table("", "line", "median", "min", "max", "target", "met")
    for line in lines:
        numbers = [line.value, min(line.ratios), max(line.ratios)]
        target = "" if line.target is None else f"{'≥' if line.at_least else '≤'} {line.target:g}"
        met = {None: "", True: "yes", False: "NO"}[line.met]
        shown = [f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" for value in numbers]
        built.add_row(line.name, *shown, target, met)
    return built


def cost_table(rows: Sequence[dict[str, float]]) -> Any:
    """Cost per saccade as a rich table."""
    built = table(
        "ViT-S/16, ms an image", "saccade", "tokens seen", "dense", "recompute", "KV cache"
    )
    for row in rows:
        ways = [f"{row[way]:.1f}" for way in ("dense", "recompute", "kv_cache")]
        built.add_row(f"{row['saccade']:.0f}", f"{row['tokens']:.1f}", *ways)
    return built
