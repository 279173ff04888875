"""Where the work of a command is done: which shard, and by which engine."""

from __future__ import annotations

import os
from typing import Any

import typer

from saccade_env.cli.console import note


def shard_of(asked: Any) -> Any:
    """The shard asked for, or the one that a Slurm array or torchrun makes of this process."""
    from saccade_env.evaluation.shards import WHOLE, Shard

    if asked is not None:
        return asked
    found = Shard.of_environment(os.environ)
    if found and not found.is_whole:
        note(f"this is shard {found}, as the environment says; --shard 0/1 does everything")
    return found or WHOLE


def engine_of(name: str, address: str | None, cpus: float, gpus: float) -> Any:
    """The engine of this name.

    Raises:
        ImportError: Its package is missing.
        ValueError: There are options of another engine, or a number is out of range.
    """
    if name == "ray":
        from saccade_env.scale import RayEngine

        return RayEngine(address, cpus, gpus)
    from saccade_env.evaluation.work import here

    if address is not None or gpus:
        raise ValueError("--address and --gpus-per-worker go with --engine ray")
    return here


def say_share(shard: Any, folder: Any) -> None:
    """That a shard is done, and what is to come."""
    typer.echo(
        f"shard {shard} is done, and kept in {folder}; when all are, 'saccade-env merge DIR… --out "
        "DIR' puts them together"
    )
