"""`saccade-env train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from saccade_env.cli.console import kept_on_interrupt
from saccade_env.cli.making import check_classifier, fixed_maker, open_images
from saccade_env.cli.options import (
    Address,
    ClassifierName,
    CpusPerWorker,
    Device,
    Fovea,
    GpusPerWorker,
    Images,
    Labels,
    Saccades,
    Seed,
    Workers,
    as_path,
)
from saccade_env.cli.root import app
from saccade_env.cli.spreading import engine_of
from saccade_env.errors import unknown_name


def _recipe(context: typer.Context, path: Path | None) -> Path | None:
    """Options that the file gives stand where none is given."""
    from saccade_env.agents.hyperparameters import recipe

    if path is not None:
        given = {key.replace("-", "_"): value for key, value in recipe(path).items()}
        known = {str(parameter.name): parameter for parameter in context.command.params}
        del known["config"], known["out"]
        for key, value in given.items():
            if key not in known:
                raise unknown_name(f"option in section 'train' of {path}:", key, known)
            if getattr(known[key], "multiple", False) and isinstance(value, str):
                given[key] = [value]
        context.default_map = given
    return path


@app.command()
def train(
    out: Annotated[
        Path,
        typer.Option(
            parser=as_path, metavar="PATH", help="Folder for model, card, curves and checkpoint."
        ),
    ],
    images: Images = None,
    labels: Labels = None,
    classifier: ClassifierName = "auto",
    algo: Annotated[
        str, typer.Option(help="ppo, maskable-ppo, dqn or recurrent-ppo.")
    ] = "maskable-ppo",
    timesteps: Annotated[
        int, typer.Option(min=0, help="Saccades of reinforcement; 0: a warm start at most.")
    ] = 100_000,
    n_envs: Annotated[int, typer.Option(min=1, help="Episodes side by side.")] = 8,
    reward: Annotated[
        str,
        typer.Option(
            help="certainty_gain, certainty, correct_certainty_gain, true_class_gain, "
            "true_class_log_gain or correct; certainty alone can be gamed."
        ),
    ] = "correct_certainty_gain",
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    saccade_cost: Annotated[float, typer.Option(min=0, help="Subtracted for every saccade.")] = 0.0,
    stop_action: Annotated[
        bool, typer.Option("--stop-action", help="The agent may end an episode.")
    ] = False,
    periphery: Annotated[
        int, typer.Option(min=0, help="Side in pixels of the small picture it sees; 0: none.")
    ] = 32,
    prior: Annotated[
        str, typer.Option(help="Policy whose saliency map it sees: dino, focus-attention, …")
    ] = "none",
    belief: Annotated[
        bool, typer.Option("--belief", help="It sees what the classifier believes so far.")
    ] = False,
    eye: Annotated[
        str,
        typer.Option(
            help="What else the classifier, a CNN, may look at for it: 'image', the whole one; or "
            "a picture that is sharp where revealed, with so many pixels a side elsewhere; none."
        ),
    ] = "none",
    eye_shows: Annotated[
        list[str] | None,
        typer.Option(
            help="What the eye finds: activation (default), glimpses (of an eye that sees the "
            "image), features; repeat for several.",
            show_default=False,
        ),
    ] = None,
    eye_classifier: Annotated[
        str | None,
        typer.Option(help="Whose eye it is. Default: the classifier's.", show_default=False),
    ] = None,
    eval_images: Annotated[
        str | None, typer.Option(help="Held-back pictures.", show_default=False)
    ] = None,
    eval_share: Annotated[
        float, typer.Option(help="Without these: share of the images that is held back.")
    ] = 0.1,
    eval_every: Annotated[int, typer.Option(min=1, help="Timesteps between evaluations.")] = 10_000,
    save_every: Annotated[int, typer.Option(min=1, help="Timesteps between checkpoints.")] = 10_000,
    warm_start: Annotated[
        str | None,
        typer.Option(help="Policy to imitate first, such as greedy-oracle.", show_default=False),
    ] = None,
    warm_start_steps: Annotated[int, typer.Option(min=1, help="Saccades to imitate.")] = 10_000,
    demonstrations: Annotated[
        Path | None,
        typer.Option(
            help="Folder of what is imitated; trainings with the same seed that see the same or "
            "less may share it. Default: in --out.",
            show_default=False,
        ),
    ] = None,
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
        typer.Option(
            help="A YAML file: hyperparameters, a section for each algorithm, and in a section "
            "'train' these options.",
            callback=_recipe,
            is_eager=True,
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = None,
    engine: Annotated[
        Literal["here", "ray"],
        typer.Option(help="Where demonstrations are made: 'here', or by 'ray' on its machines."),
    ] = "here",
    address: Address = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where the same command stopped. It reads a pickle: only a folder of yours.",
        ),
    ] = False,
) -> None:
    """Train an agent with Stable-Baselines3. Ctrl-C saves; --resume goes on exactly there."""
    options = {**locals(), "eye": _eye(eye), "eye_shows": tuple(eye_shows or ["activation"])}
    from dataclasses import fields

    from saccade_env.agents.checkpoint import CHECKPOINT
    from saccade_env.agents.hyperparameters import hyperparameters, parse_settings
    from saccade_env.agents.settings import Settings
    from saccade_env.agents.train import train as run
    from saccade_env.config import SaccadeConfig
    from saccade_env.task import open_pair

    resumed = kept_on_interrupt(out, "the same command with --resume")
    with resumed, _nothing_kept_before(out / CHECKPOINT):
        if engine != "here" and not warm_start:
            raise ValueError("--engine makes the demonstrations of a warm start: give --warm-start")
        given = parse_settings(set_ or [])
        hyperparameters(algo, given, config)
        check_classifier(classifier)
        source, judge = open_pair(open_images(images, labels), classifier, device)
        task = SaccadeConfig(
            judge.grid,
            fovea,
            saccades,
            reward,  # type: ignore[arg-type]
            saccade_cost,
            stop_action=stop_action,
        )
        own = {"images": source, "classifier": judge, "config": task,
               "hyperparameters": given, "hyperparameter_file": config,
               "engine": engine_of(engine, address, cpus_per_worker, gpus_per_worker)}  # fmt: skip
        named = [field.name for field in fields(Settings) if field.name in options]
        settings = Settings(**{**{name: options[name] for name in named}, **own})
        run(settings, fixed_maker(judge.grid, seed, device), resume)
        typer.echo(f"wrote {out}: saccade-env evaluate --policy sb3:{out}, or export it; "
                   f"tensorboard --logdir {out}")  # fmt: skip


def _eye(value: str) -> str | int:
    return int(value) if value.isdecimal() else value


@contextmanager
def _nothing_kept_before(checkpoint: Path) -> Iterator[None]:
    """Ctrl-C before the first checkpoint, as in a warm start, says so."""
    try:
        yield
    except KeyboardInterrupt as error:
        if checkpoint.exists():
            raise
        typer.secho("stopped before the first checkpoint: the same command, without --resume, "
                    "goes on from what demonstrations there are", err=True)  # fmt: skip
        raise typer.Exit(130) from error


@app.command()
def export(
    model: Annotated[
        Path, typer.Argument(help="A training's folder, or best.zip or model.zip in it.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where agent.safetensors and agent.json go.")],
) -> None:
    """Write a trained agent in a form that executes nothing when it is read.

    The zip is a pickle, and reading it executes what it holds: take one that you trust.
    """
    from saccade_env.agents.sb3_zip import export as write

    written = write(model, folder, trust=True)
    typer.echo(f"wrote {written}: saccade-env evaluate --policy {written}")
