"""`saccade-env push`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from saccade_env.cli.console import note
from saccade_env.cli.options import as_path
from saccade_env.cli.root import app

# Begins a word, perhaps quoted or behind a name such as "sb3:".
_PATH = re.compile(r"(?:(?<![^\s'\"=:(`])(?:/|~/)|\b[A-Za-z]:\\)[^\s'\"`)/][^\s'\"`)]*")


@app.command()
def push(
    run: Annotated[
        Path,
        typer.Argument(
            parser=as_path,
            metavar="RUN",
            help="Folder of a trained agent (agent.json), of an evaluation, or of the paper's "
            "analyses.",
        ),
    ],
    repo: Annotated[str, typer.Option(help="Where it goes: OWNER/NAME.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of an evaluation of the agent, whose results its card then has; repeat "
            "for several.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="As the Hub names it: apache-2.0, …", show_default=False)
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Only for you and whom you let see it.")
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, made if need be. Default: the main one.", show_default=False),
    ] = None,
    message: Annotated[
        str | None, typer.Option(help="What the commit says.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files and card, and push nothing.")
    ] = False,
) -> None:
    """Put an agent, or records and report, on the Hugging Face Hub ($HF_TOKEN says who you are).

    Safetensors, JSON, records, tables and figures only: no checkpoint, no pickle, none of your
    pictures. Nothing is overwritten there but what an earlier push wrote.
    """
    from saccade_env.hub import upload
    from saccade_env.hub.manifest import README

    if repo.count("/") != 1:
        raise ValueError(f"--repo must be OWNER/NAME; got {repo!r}")
    made = _publication(run, repo, licence, results or [])
    for path in sorted({*_local_paths(made)}):
        note(f"a path of this machine will be readable there: {path}")
    if dry_run:
        for name in made.names:
            typer.echo(f"{(made.folder / name).stat().st_size:>12,} bytes  {name}")
        typer.echo(f"{README}:\n\n{made.card}")
        return
    done = upload.push(made, repo, private=private, branch=revision, message=message)
    if done.card_kept:
        note(f"{README} was edited on the Hub and stays as it is, with the results it had")
    typer.echo(f"pushed {done.url}")
    if made.kind == "agent":
        typer.echo(f"saccade-env evaluate --policy hf:{done.repo}@{done.commit}")


def _publication(run: Path, repo: str, licence: str | None, results: list[Path]) -> Any:
    from saccade_env.agents import hub as agents_hub
    from saccade_env.agents.files import DESCRIPTION
    from saccade_env.evaluation import hub as evaluation_hub
    from saccade_env.evaluation.plan import PLAN

    if (run / DESCRIPTION).is_file():
        return agents_hub.publication(run, repo, licence, results)
    if results:
        raise ValueError(f"--results are of an agent, and {run} has no {DESCRIPTION}")
    if (run / PLAN).is_file():
        return evaluation_hub.publication(run, repo, licence)
    from saccade_env.paper import hub as paper_hub
    from saccade_env.paper.results import RESULTS

    if (run / RESULTS).is_file():
        return paper_hub.publication(run, repo, licence)
    if not run.is_dir():
        raise FileNotFoundError(f"there is no folder {run}")
    _refuse_training(run)
    raise ValueError(
        f"{run} is neither an agent (no {DESCRIPTION}) nor an evaluation (no {PLAN}) nor a run of "
        f"the paper's analyses (no {RESULTS}); those of several classifiers are pushed one by one"
    )


def _refuse_training(run: Path) -> None:
    from saccade_env.agents.checkpoint import CHECKPOINT
    from saccade_env.agents.sb3_zip import BEST, MODEL

    if any((run / name).is_file() for name in (BEST, MODEL, CHECKPOINT)):
        raise ValueError(
            f"{run} holds a training whose agent is a pickle, which is not pushed: "
            f"`saccade-env export {run} {run}` writes it as JSON and safetensors; then push again"
        )


def _local_paths(made: Any) -> Iterator[str]:
    """Paths in the card, the JSON files and so in the metadata of the records."""
    from saccade_env.files import read_object

    yield from paths_in(made.card)
    for name in made.names:
        if name.endswith(".json"):
            yield from paths_in(read_object(made.folder / name))


def paths_in(value: Any) -> Iterator[str]:
    """Paths of this machine in any text of plain data, also inside of commands."""
    if isinstance(value, str):
        yield from _PATH.findall(value)
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from paths_in(item)
