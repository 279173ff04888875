"""`saccade-env download` and `list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade_env.cli.root import app
from saccade_env.drawing.text import table


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="dino_vits16, …, unisal, resnet50, or 'all'.")],
    carried: Annotated[
        Path | None,
        typer.Option("--from", help="Install files carried by hand from this folder instead."),
    ] = None,
) -> None:
    """Download weights into the cache, or install them from a folder on an offline machine."""
    from saccade_env.classifiers import weights

    if carried is not None:
        _say_ready(weights.install(name, carried))
        return
    failed = []
    for group in weights.names() if name == weights.ALL else [name]:
        try:
            _say_ready(weights.fetch(group))
        except weights.WeightsError as error:  # the others may be had all the same
            failed.append(str(error))
    if failed:
        raise weights.WeightsError("\nerror: ".join(failed))


def _say_ready(paths: list[Path]) -> None:
    for path in paths:
        typer.echo(f"ready: {path}")


def _agents() -> Any:
    """Agents that come with the package; the folder of any other is a name too."""
    from saccade_env.agents import files

    shown = table("Agents", "name", "what it observes beside what is revealed", "classifier")
    for name in files.available():
        described = files.read_description(files.folder_of(name))
        observed = {key: value for key, value in described["observation"].items() if value}
        seen = ", ".join(f"{key} {value}" for key, value in observed.items())
        shown.add_row(name, seen, described["card"]["classifier"]["name"])
    return shown


@app.command("list")
def list_() -> None:
    """Show classifiers, policies, agents and images, and what is available here."""
    from rich.console import Console
    from rich.markup import escape

    from saccade_env import classifiers, images, policies

    console = Console()
    for heading, registry in (
        ("Classifiers", classifiers.REGISTRY),
        ("Policies", policies.REGISTRY),
    ):
        shown = table(heading, "name", "what it is", "licence", "MB", "here")
        for name, entry in registry.entries.items():
            here = entry.blocked() or ("download" if registry.missing(name) else "yes")
            here = "ceiling: sees the label" if entry.ceiling else here
            here += ", by name: slow" * entry.slow
            size = str(entry.size_mb or "")
            name += f":{entry.model}" * bool(entry.model)
            what = f"{entry.summary} ({entry.package})" if entry.package else entry.summary
            shown.add_row(name, escape(what.strip()), entry.licence, size, escape(here))
        console.print(shown)
    console.print(_agents())
    shown = table("Images", "name", "what it is", "licence", "MB", "here")
    for name, row in images.CATALOGUE.items():
        shown.add_row(name, *row)
    console.print(shown)
    console.print("download: happens at first use, or now by `saccade-env download NAME`")
