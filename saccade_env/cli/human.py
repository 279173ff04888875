"""`saccade-env human`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade_env.cli.console import clear_errors
from saccade_env.cli.making import policies_by_name
from saccade_env.cli.options import ClassifierName, Device, Fovea, Images, Saccades, Seed
from saccade_env.cli.root import app


@app.command()
def human(
    fixations: Annotated[
        Path,
        typer.Argument(
            help="CSV with image (as in the records), subject, order, and row, col in tokens or "
            "x, y in pixels of the image as the classifier sees it."
        ),
    ],
    images: Images = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy to compare; repeat for several. Default: all available."),
    ] = None,
    classifier: ClassifierName = "auto",
    unit: Annotated[
        str | None,
        typer.Option(help="token, pixel or relative (0 to 1). Default: by the columns."),
    ] = None,
    outside: Annotated[
        str, typer.Option(help="Fixations outside the image: 'raise' or 'drop'.")
    ] = "raise",
    sigma: Annotated[
        float, typer.Option(help="Of the Gaussian that makes a density of fixations, in tokens.")
    ] = 1.0,
    first: Annotated[
        int | None,
        typer.Option(help="Compare this many first fixations. Default: as many as people make."),
    ] = None,
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[Path, typer.Option(help="Folder for maps.csv and scanpaths.csv.")] = Path(
        "saccade-runs/human"
    ),
) -> None:
    """Compare policies with human fixations: their maps (NSS, AUC, KL, CC) and their scanpaths.

    The rows "human" (subjects with each other) and "shuffled" (subjects with another image's) say
    what a similarity of scanpaths is worth.
    """
    from rich.console import Console

    from saccade_env.evaluation import human as comparison
    from saccade_env.task import open_pair

    with clear_errors():
        source, judge = open_pair(images, classifier, device)
        size = (judge.grid[0] * judge.patch_size, judge.grid[1] * judge.patch_size)
        looked = comparison.read_fixations(
            fixations,
            unit=unit,  # type: ignore[arg-type]
            image_size=size,
            patch_size=judge.patch_size,
            outside=outside,  # type: ignore[arg-type]
        )
        policies = policies_by_name(policy, judge, seed, device)
        maps, scanpaths = comparison.compare(
            policies,
            source,
            judge,
            looked,
            fovea=fovea,
            saccades=saccades,
            sigma=sigma,
            first=first,
        )
        out.mkdir(parents=True, exist_ok=True)
        console = Console()
        images_seen, people = looked["image"].nunique(), looked["subject"].nunique()
        console.print(f"fixations: {len(looked)} on {images_seen} images by {people} subjects")
        for name, found in (("maps", maps), ("scanpaths", scanpaths)):
            path = out / f"{name}.csv"
            found.to_csv(path, index=False)
            console.print(found.round(3).to_string(index=False), highlight=False)
            console.print(f"wrote {path}", highlight=False, soft_wrap=True)
