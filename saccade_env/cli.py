"""The command line: the one module here that may import policies and agents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from saccade_env.console import (
    best,
    clear_errors,
    default_folder,
    file_name,
    kept_on_interrupt,
    note,
    numbers,
    table,
    worth_showing,
)
from saccade_env.registry import parse_spec, unknown_name

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Active vision on images: evaluate where to look, and record scanpaths."""
    warnings.showwarning = note


Images = Annotated[
    str | None,
    typer.Option(
        help="'sample' (shipped pictures), 'imagenette' (downloads), 'imagenet:ROOT', or a folder. "
        "Default: $SACCADE_IMAGENET if set, else the sample.",
        show_default=False,
    ),
]
ClassifierName = Annotated[
    str,
    typer.Option(
        "--classifier",
        help="Name, or 'auto'. Parameters follow a colon, as in "
        "'dino_vits16:mode=kv_cache,refresh_every=5'.",
    ),
]
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
            help="Policy to evaluate; repeat for several. Parameters follow a colon, as in "
            "'dino:layer=5'. Or the folder or zip of a trained agent: a zip is a pickle, so load "
            "only what you trust. Default: all policies that are available.",
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
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that decode ahead; changes no result. Default: one for 4 processors.",
            show_default=False,
        ),
    ] = None,
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
    gif: Annotated[
        bool, typer.Option(help="Record the best policy on an image that it gets right.")
    ] = True,
    stop_at: Annotated[
        str | None,
        typer.Option(
            help="Certainties at which to stop, for the stopping curves: 0.5,0.7,0.9. "
            "Default: 0.1 to 0.95.",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int, typer.Option(help="Saccades in a row that must be certain before stopping.")
    ] = 1,
) -> None:
    """Evaluate policies: a table, records, figures and a GIF.

    Without options: all policies that are available offline, on the shipped pictures.
    """
    from rich.console import Console

    from saccade_env import evaluation
    from saccade_env.evaluation import report
    from saccade_env.evaluation.metrics import THRESHOLDS
    from saccade_env.task import open_pair

    console = Console()
    with clear_errors():
        thresholds = numbers(stop_at) if stop_at else THRESHOLDS
        source, judge = open_pair(images, classifier, device)
        policies = _policies(policy, judge, seed, device)
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
                fovea=fovea,
                saccades=saccades,
                limit=limit,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                device=device,
                out=folder,
                overwrite=overwrite,
                on_error=on_error,  # type: ignore[arg-type]
                stop_at=thresholds,
                patience=patience,
            )
        report.show(result.summary, console)
        written = [folder / name for name in ("records.parquet", "summary.json")]
        figures = [folder / "figures" / name for name in ("accuracy.png", "stopping.png")]
        written += [path for path in figures if path.exists()]
        if gif:
            winner = best(result.summary)
            shown = worth_showing(result.records, winner)
            index = next(i for i in range(len(source)) if source.id(i) == shown)
            path = folder / f"scanpath-{file_name(winner)}.gif"
            _record(source, judge, policies[winner], path, index, seed, fovea, saccades)
            written.append(path)
        for path in written:
            console.print(f"wrote {path}", highlight=False, soft_wrap=True)


@app.command()
def record(
    policy: Annotated[
        str,
        typer.Option(
            help="Policy, with parameters after a colon if any. Or the folder or zip of a trained "
            "agent: a zip is a pickle, so load only what you trust."
        ),
    ],
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
    from saccade_env.task import open_pair

    with clear_errors():
        source, judge = open_pair(images, classifier, device)
        built = _policies([policy], judge, seed, device)[policy]
        _record(source, judge, built, out, index, seed, fovea, saccades)
        typer.echo(f"wrote {out}")


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for model, card, curves and checkpoint.")],
    images: Images = None,
    classifier: ClassifierName = "auto",
    algo: Annotated[
        str, typer.Option(help="ppo, maskable-ppo, dqn or recurrent-ppo.")
    ] = "maskable-ppo",
    timesteps: Annotated[int, typer.Option(help="Saccades to train for.")] = 100_000,
    n_envs: Annotated[int, typer.Option(help="Episodes side by side.")] = 8,
    reward: Annotated[
        str, typer.Option(help="What is rewarded; certainty alone can be gamed.")
    ] = "correct_certainty_gain",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    saccade_cost: Annotated[float, typer.Option(help="Subtracted for every saccade.")] = 0.0,
    stop_action: Annotated[
        bool, typer.Option("--stop-action", help="The agent may end an episode.")
    ] = False,
    periphery: Annotated[
        int, typer.Option(help="Side in pixels of the small picture it sees; 0: none.")
    ] = 32,
    prior: Annotated[
        str, typer.Option(help="Policy whose saliency map it sees: dino, focus-attention, …")
    ] = "none",
    belief: Annotated[
        bool, typer.Option("--belief", help="It sees what the classifier believes so far.")
    ] = False,
    eval_images: Annotated[
        str | None, typer.Option(help="Held-back pictures.", show_default=False)
    ] = None,
    eval_share: Annotated[
        float, typer.Option(help="Without these: share of the images that is held back.")
    ] = 0.1,
    eval_every: Annotated[int, typer.Option(help="Timesteps between evaluations.")] = 10_000,
    save_every: Annotated[int, typer.Option(help="Timesteps between checkpoints.")] = 10_000,
    warm_start: Annotated[
        str | None,
        typer.Option(help="Policy to imitate first, such as greedy-oracle.", show_default=False),
    ] = None,
    warm_start_steps: Annotated[int, typer.Option(help="Saccades to imitate.")] = 10_000,
    augment: Annotated[
        bool, typer.Option("--augment", help="Crop and flip the pictures it learns from.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A hyperparameter as key=value; repeat for several.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Hyperparameters: a YAML file with a section an algorithm."),
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Annotated[
        int | None, typer.Option(help="Threads that decode ahead.", show_default=False)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where the same command stopped. It reads a pickle: only a folder of yours.",
        ),
    ] = False,
) -> None:
    """Train an agent with Stable-Baselines3. Ctrl-C saves; --resume goes on exactly there."""
    options = {key: value for key, value in locals().items() if key not in ("set_", "resume")}
    from saccade_env.agents.checkpoint import CHECKPOINT
    from saccade_env.agents.settings import Settings, parse_settings
    from saccade_env.agents.train import train as run
    from saccade_env.task import open_pair

    resumed = kept_on_interrupt(out, "the same command with --resume")
    with clear_errors(), resumed, _nothing_kept_before(out / CHECKPOINT):
        source, judge = open_pair(images, classifier, device)
        opened = {"images": source, "classifier": judge}
        settings = Settings(**{**options, **opened, "hyperparameters": parse_settings(set_ or [])})
        run(settings, _maker(judge, seed, device), resume)
        typer.echo(f"wrote {out}: saccade-env evaluate --policy {out}; tensorboard --logdir {out}")


@contextmanager
def _nothing_kept_before(checkpoint: Path) -> Iterator[None]:
    """Ctrl-C before the first checkpoint, as in a warm start, says so."""
    try:
        yield
    except KeyboardInterrupt as error:
        if checkpoint.exists():
            raise
        typer.secho("stopped before the first checkpoint: nothing is kept to --resume", err=True)
        raise typer.Exit(130) from error


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

    with clear_errors():
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


@app.command("list")
def list_() -> None:
    """Show classifiers, policies and images, and what is available here."""
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
            here = entry.blocked() or ("download" if entry.missing() else "yes")
            here = "ceiling: sees the label" if entry.ceiling else here
            size = str(entry.size_mb or "")
            shown.add_row(name, entry.summary, entry.licence, size, escape(here))
        console.print(shown)
    shown = table("Images", "name", "what it is", "licence", "MB", "here")
    for name, row in images.CATALOGUE.items():
        shown.add_row(name, *row)
    console.print(shown)
    console.print("download: happens at first use, or now by `saccade-env download NAME`")


def _policies(names: list[str] | None, classifier: Any, seed: int, device: str) -> dict[str, Any]:
    from saccade_env import policies

    if not names:
        _say_what_is_missing(policies.REGISTRY)
    make = _maker(classifier, seed, device)
    return {name: make(name) for name in names or policies.available()}


def _maker(classifier: Any, seed: int, device: str) -> Callable[[str], Any]:
    """Builds policies by name, with parameters if any; or trained agents by their path."""
    from saccade_env import policies

    def make(name: str) -> Any:
        base, keywords = parse_spec(name)
        if base not in policies.REGISTRY.entries and Path(base).exists():
            return _agent(Path(base), classifier.grid, make, device, **keywords)
        if base == "random":
            keywords.setdefault("seed", seed)
        return policies.create(base, grid=classifier.grid, device=device, **keywords)

    return make


def _agent(path: Path, grid: Any, make: Any, device: str, stops: bool = False, **wrong: Any) -> Any:
    """A trained agent: of ours, or as Stable-Baselines3 saved it, which is unpickled."""
    from saccade_env.agents.agent_policy import AgentPolicy

    for name in wrong:
        raise unknown_name("parameter of an agent", name, ["stops"])
    if (path / "agent.json").exists():
        return AgentPolicy.load(path, grid, make, device, stops)
    from saccade_env.agents.sb3_policy import load_sb3

    return load_sb3(path, grid, make, device, stops)


def _say_what_is_missing(registry: Any) -> None:
    absent = {name: entry.missing() for name, entry in registry.entries.items()}
    if absent := {name: reason for name, reason in absent.items() if reason}:
        note("left out: " + "; ".join(f"{name} ({reason})" for name, reason in absent.items()))


def _record(
    source: Any,
    classifier: Any,
    policy: Any,
    path: Path,
    index: int,
    seed: int,
    fovea: int,
    saccades: int,
) -> None:
    from saccade_env import SaccadeEnv, rendering

    env = SaccadeEnv(
        source,
        classifier,
        fovea=fovea,
        max_saccades=saccades,
        render_mode="rgb_array",
    )
    rendering.record(env, policy, path, seed=seed, index=index)


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


cache_app = typer.Typer(no_args_is_help=True)
app.add_typer(cache_app, name="cache", help="Show or clear the saliency maps and weights on disk.")


@cache_app.command("info")
def cache_info() -> None:
    """Show what the cache holds, where it is and how big."""
    from rich.console import Console

    from saccade_env import cache_report

    with clear_errors():
        cache_report.show(Console())


@cache_app.command("clear")
def cache_clear(
    what: Annotated[str, typer.Argument(help="maps, weights or all.")] = "maps",
    yes: Annotated[bool, typer.Option("--yes", help="Remove weights without asking.")] = False,
) -> None:
    """Remove what the cache holds; it is computed or downloaded again when needed."""
    from saccade_env import cache_report

    with clear_errors():
        count = len([item for item in cache_report.items(what) if item.kind == "weights"])
        if count and not yes:
            typer.confirm(f"remove {count} weights, to be downloaded when needed?", abort=True)
        entries, size = cache_report.clear(what)
        typer.echo(f"removed {what}: entries {entries}, MB {cache_report.megabytes(size)}")


if __name__ == "__main__":
    app()
