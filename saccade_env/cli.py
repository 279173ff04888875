"""The command line: the one module here that may import policies and agents."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Active vision on images: evaluate where to look, and record scanpaths."""
    warnings.showwarning = _plain_warning


Images = Annotated[
    str | None,
    typer.Option(
        help="'sample' (shipped pictures), 'imagenette' (downloads), 'imagenet:ROOT', or a folder. "
        "Default: $SACCADE_IMAGENET if set, else the sample.",
        show_default=False,
    ),
]
ClassifierName = Annotated[str, typer.Option("--classifier", help="Name, or 'auto'.")]
Fovea = Annotated[int, typer.Option(help="Side of the square fovea in tokens, odd.")]
Saccades = Annotated[int, typer.Option(help="Saccades per image.")]
Seed = Annotated[int, typer.Option(help="Seeds the random policy and the choice of images.")]
Device = Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")]


@app.command()
def evaluate(
    images: Images = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Policy to evaluate; repeat for several. Parameters after a colon: "
            "'focus-attention:layer=5,reduction=mean'. Default: all that are available.",
            show_default=False,
        ),
    ] = None,
    classifier: ClassifierName = "auto",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    limit: Annotated[
        int | None, typer.Option(help="Evaluate a random sample of this many images.")
    ] = None,
    seed: Seed = 0,
    batch_size: Annotated[int, typer.Option(help="Images per forward; changes no result.")] = 32,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Output folder. Default: saccade-runs/ and a name made from the options, so that "
            "the same command goes on where it stopped.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop another run's records in the folder.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="Images that cannot be read: 'raise' stops, 'skip' counts them.")
    ] = "raise",
    gif: Annotated[bool, typer.Option(help="Record the best policy on the first image.")] = True,
) -> None:
    """Evaluate policies: a table, records, a figure and a GIF.

    Without options: all policies that are available offline, on the shipped pictures.
    """
    from rich.console import Console

    from saccade_env import evaluation
    from saccade_env.evaluation import report

    console = Console()
    with _clear_errors():
        source, judge = _open(images, classifier, device)
        policies = _policies(policy, judge, seed, device)
        folder = out or _default_folder(
            judge.name, source, policies, fovea=fovea, saccades=saccades, limit=limit, seed=seed
        )
        with _kept_on_interrupt(folder):
            result = evaluation.evaluate(
                policies,
                source,
                judge,
                fovea=fovea,
                saccades=saccades,
                limit=limit,
                seed=seed,
                batch_size=batch_size,
                device=device,
                out=folder,
                overwrite=overwrite,
                on_error=on_error,  # type: ignore[arg-type]
            )
        console.print(report.table(result.summary))
        written = [folder / name for name in ("records.parquet", "summary.json")]
        written.append(folder / "figures" / "accuracy.png")
        if gif:
            first = [source.id(i) for i in range(len(source))].index(result.records["image"][0])
            best = _best(result.summary)
            path = folder / f"scanpath-{best.replace(':', '-')}.gif"
            _record(source, judge, policies[best], path, first, seed, fovea, saccades, device)
            written.append(path)
        for path in written:
            console.print(f"wrote {path}", highlight=False, soft_wrap=True)


@app.command()
def record(
    policy: Annotated[str, typer.Option(help="Policy, with parameters after a colon if any.")],
    images: Images = None,
    index: Annotated[int, typer.Option(help="Which picture of the images.")] = 0,
    out: Annotated[Path, typer.Option(help="A .gif or .mp4 file.")] = Path("scanpath.gif"),
    classifier: ClassifierName = "auto",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Record one episode of a policy as a GIF or MP4."""
    with _clear_errors():
        source, judge = _open(images, classifier, device)
        built = _policies([policy], judge, seed, device)[policy]
        _record(source, judge, built, out, index, seed, fovea, saccades, device)
        typer.echo(f"wrote {out}")


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

    with _clear_errors():
        if carried is not None:
            paths = weights.install(name, carried)
        else:
            groups = weights.names() if name == "all" else [name]
            paths = [path for group in groups for path in weights.fetch(group)]
        for path in paths:
            typer.echo(f"ready: {path}")


@app.command("list")
def list_() -> None:
    """Show classifiers, policies and images, and what is available here."""
    from rich.console import Console

    from saccade_env import classifiers, images, policies

    console = Console()
    for heading, registry in (
        ("Classifiers", classifiers.REGISTRY),
        ("Policies", policies.REGISTRY),
    ):
        table = _table(heading, "name", "what it is", "licence", "MB", "here")
        for name, entry in registry.entries.items():
            here = entry.blocked() or ("download" if entry.missing() else "yes")
            table.add_row(name, entry.summary, entry.licence, str(entry.size_mb or ""), here)
        console.print(table)
    table = _table("Images", "name", "what it is")
    for name, summary in images.available().items():
        table.add_row(name, summary)
    console.print(table)
    console.print("download: happens at first use, or now by `saccade-env download NAME`")


def _table(heading: str, first: str, *others: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other)
    return table


def _plain_warning(message: Any, *_: Any, **__: Any) -> None:
    typer.secho(f"note: {message}", fg="yellow", err=True)


def _open(images: str | None, classifier: str, device: str) -> tuple[Any, Any]:
    import torch

    from saccade_env.task import open_pair

    try:
        return open_pair(images, classifier, torch.device(device))
    except RuntimeError as error:  # torch's for an unknown device or one that is not there
        raise ValueError(f"device {device!r}: {error}") from error


def _policies(names: list[str] | None, classifier: Any, seed: int, device: str) -> dict[str, Any]:
    from saccade_env import policies

    for name, entry in policies.REGISTRY.entries.items() if not names else ():
        if reason := entry.missing():
            typer.secho(f"note: policy {name} {reason}", fg="yellow", err=True)
    built = {}
    for name in names or policies.available():
        base, keywords = _parse(name)
        if base == "random":
            keywords.setdefault("seed", seed)
        try:
            built[name] = policies.create(base, grid=classifier.grid, device=device, **keywords)
        except TypeError as error:  # a parameter that the policy does not take
            raise ValueError(f"policy {name!r}: {error}") from error
    return built


def _parse(name: str) -> tuple[str, dict[str, Any]]:
    """``"focus-attention:layer=5,reduction=mean"`` to a name and keywords.

    Raises:
        ValueError: A parameter is not of the form key=value.
    """
    base, _, tail = name.partition(":")
    keywords: dict[str, Any] = {}
    for pair in filter(None, tail.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"policy parameter must be key=value; got {pair!r} in {name!r}")
        keywords[key] = int(value) if value.lstrip("-").isdigit() else value
    return base, keywords


def _default_folder(classifier: str, source: Any, policies: dict[str, Any], **options: Any) -> Path:
    import hashlib
    import json

    what = [classifier, source.identity, sorted(policies), options]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
    return Path("saccade-runs") / f"evaluate-{source.name}-{classifier}-{key}"


def _best(summary: dict[str, Any]) -> str:
    """Policy with the highest last accuracy; without labels, with the highest certainty."""
    results = summary["results"]
    kind = "certainty" if summary["full_image"]["accuracy"] is None else "accuracy"
    return max(results, key=lambda policy: results[policy][kind][-1])


def _record(
    source: Any,
    classifier: Any,
    policy: Any,
    path: Path,
    index: int,
    seed: int,
    fovea: int,
    saccades: int,
    device: str,
) -> None:
    from saccade_env import SaccadeEnv, rendering

    env = SaccadeEnv(
        source,
        classifier,
        fovea=fovea,
        max_saccades=saccades,
        device=device,
        render_mode="rgb_array",
    )
    rendering.record(env, policy, path, seed=seed, index=index)


class _clear_errors:  # noqa: N801 - reads as a statement
    """Errors that the user can mend end in one line; a bug keeps its traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from saccade_env.classifiers.weights import WeightsError

        mendable = (ValueError, ImportError, OSError, IndexError, FloatingPointError, WeightsError)
        if isinstance(error, mendable):
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(1) from error


class _kept_on_interrupt:  # noqa: N801
    """Ctrl-C says what is kept and how to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, KeyboardInterrupt):
            typer.secho(
                f"stopped: what is finished is kept in {self.folder}; "
                "the same command goes on from there",
                err=True,
            )
            raise typer.Exit(130) from error


if __name__ == "__main__":
    app()
