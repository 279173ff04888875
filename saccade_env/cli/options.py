"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

POLICY = (
    "Parameters follow a colon, as in 'dino:layer=5'. Or the name or folder of a trained agent, "
    "hf:NAME[@REVISION] for one on the Hugging Face Hub, or sb3:PATH for a model of "
    "Stable-Baselines3: a pickle, so load only what you trust."
)


def as_path(text: str | Path) -> Path:
    """A path; an empty one, as of a variable that is not set, would be the folder one is in."""
    if not str(text):
        raise typer.BadParameter("it is empty: name a folder.")
    return Path(text)


def as_shard(text: Any) -> Any:
    """A shard."""
    from saccade_env.evaluation.shards import Shard

    try:
        return text if isinstance(text, Shard) else Shard.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _odd(fovea: int) -> int:
    if fovea % 2 == 0:
        raise typer.BadParameter(f"{fovea} is not odd.")
    return fovea


Images = Annotated[
    str | None,
    typer.Option(
        help="'sample' (shipped pictures), 'imagenette' (downloads), 'imagenet:ROOT', 'hf:REPO', "
        "a folder, or tar shards. Default: $SACCADE_IMAGENET if set, else the sample.",
        show_default=False,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="File of picture names and classes, or how numbers and names are to be read: "
        "class-indices, ilsvrc-ids, class-names, own, …; or FILE:READING. Default: by looking.",
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
Fovea = Annotated[
    int, typer.Option(min=1, callback=_odd, help="Side of the square fovea in tokens, odd.")
]
Saccades = Annotated[int, typer.Option(min=1, help="Saccades per image.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Take a random sample of this many images.", show_default=False),
]
BatchSize = Annotated[
    int,
    typer.Option(
        min=1,
        help="Images in a batch, which is what shards and workers get; changes rounding alone.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Threads that decode ahead; changes no result. Default: one for 4 processors.",
        show_default=False,
    ),
]
ShardOption = Annotated[
    Any,
    typer.Option(
        "--shard",
        parser=as_shard,
        metavar="I/N",
        help="Do share I, from 0, of N of the batches alone; 'saccade-env merge' puts them "
        "together. Default: what a Slurm array or torchrun says, else 0/1, everything.",
        show_default=False,
    ),
]
Engine = Annotated[
    Literal["here", "ray"],
    typer.Option(help="Where the work is done: 'here', or by 'ray' on all its machines."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray's cluster: 'auto' for the one this machine belongs to. Default: one of its own "
        "on this machine.",
        show_default=False,
    ),
]
CpusPerWorker = Annotated[float, typer.Option(min=0.1, help="Processors of each of Ray's workers.")]
GpusPerWorker = Annotated[float, typer.Option(min=0, help="GPUs of each; 0.25 shares one by four.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Drop another run's records in the folder.")
]
OnError = Annotated[
    Literal["raise", "skip"],
    typer.Option(help="Images that cannot be read: 'raise' stops, 'skip' counts them."),
]
StopAt = Annotated[
    str | None,
    typer.Option(
        help="Certainties at which to stop, for the stopping curves: 0.5,0.7,0.9. "
        "Default: 0.1 to 0.95.",
        show_default=False,
    ),
]
Patience = Annotated[
    int, typer.Option(min=1, help="Saccades in a row that must be certain before stopping.")
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=2**32 - 1,  # what NumPy and Stable-Baselines3 take
        help="Of the random policy, the choice of images, and of training.",
    ),
]
Device = Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")]
