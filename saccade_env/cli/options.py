"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
