"""`saccade-env bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade_env.cli.console import (
    clear_errors,
)
from saccade_env.cli.root import app


@app.command()
def bench(
    images: Annotated[
        str | None,
        typer.Option(help="Folder of pictures. Default: the sample.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="End within two minutes.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the table to this file too.")
    ] = None,
) -> None:
    """Measure the environment against its bare classifier, naive loops and other environments.

    Every line is a ratio of times taken in turn in this run. The transformer is ViT-S/16, with
    random weights where DINO's are not cached: they are just as fast.
    """
    import json

    from rich.console import Console

    from saccade_env import bench as benchmark
    from saccade_env.agents.rollout_rate import ppo_collector

    console = Console()
    with clear_errors():
        plan = benchmark.Plan.of(quick)
        if json_file is not None:  # a path that cannot be written is known before the wait
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.touch()
        lines = list(benchmark.measure(ppo_collector, plan, images))
        if json_file is not None:
            json_file.write_text(json.dumps(benchmark.as_json(lines), indent=2) + "\n", "utf-8")
        benchmark.show(lines, console)
        console.print(benchmark.cost_table(benchmark.cost_per_saccade(plan, images)))
        if json_file is not None:
            typer.echo(f"wrote {json_file}")
