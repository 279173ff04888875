"""`saccade-env human`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saccade_env.cli.making import check_classifier, find_policies, open_images
from saccade_env.cli.options import (
    ClassifierName,
    Device,
    Fovea,
    Images,
    Labels,
    Saccades,
    Seed,
    as_path,
)
from saccade_env.cli.root import app


def _positive(sigma: float) -> float:
    if not 0 < sigma < float("inf"):
        raise typer.BadParameter(f"{sigma} is no positive number of tokens.")
    return sigma


@app.command()
def human(
    fixations: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV with image (as in the records), subject, order, and row, col in tokens or "
            "x, y in pixels of the image as the classifier sees it.",
        ),
    ],
    images: Images = None,
    labels: Labels = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy to compare; repeat for several. Default: all available."),
    ] = None,
    classifier: ClassifierName = "auto",
    unit: Annotated[
        Literal["token", "pixel", "relative"] | None,
        typer.Option(help="Of the positions; relative is 0 to 1. Default: by the columns."),
    ] = None,
    outside: Annotated[
        Literal["raise", "drop"],
        typer.Option(help="Fixations outside the image: 'raise' stops, 'drop' leaves them out."),
    ] = "raise",
    sigma: Annotated[
        float,
        typer.Option(
            callback=_positive,
            help="Of the Gaussian that makes a density of fixations, in tokens.",
        ),
    ] = 1.0,
    first: Annotated[
        int | None,
        typer.Option(
            min=1, help="Compare this many first fixations. Default: as many as people make."
        ),
    ] = None,
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[
        Path,
        typer.Option(parser=as_path, metavar="PATH", help="Folder for maps.csv and scanpaths.csv."),
    ] = Path("saccade-runs/human"),
) -> None:
    """Compare policies with human fixations: their maps (NSS, AUC, KL, CC) and their scanpaths.

    The rows "human" (subjects with each other) and "shuffled" (subjects with another image's) say
    what a similarity of scanpaths is worth.
    """
    from saccade_env.config import SaccadeConfig
    from saccade_env.evaluation import human as comparison
    from saccade_env.files import check_writable, write_text
    from saccade_env.task import open_pair

    tables = [out / "maps.csv", out / "scanpaths.csv"]
    for path in tables:
        check_writable(path)
    check_classifier(classifier)
    built = find_policies(policy, seed, device)
    source, judge = open_pair(open_images(images, labels), classifier, device)
    looked = comparison.read_fixations(
        fixations,
        unit=unit,
        image_size=source.image_size,
        patch_size=judge.patch_size,
        outside=outside,
    )
    policies = {name: build(judge.grid) for name, build in built.items()}
    config = SaccadeConfig(judge.grid, fovea, saccades)
    found = comparison.compare(policies, source, judge, looked, config, sigma=sigma, first=first)
    images_seen, people = looked["image"].nunique(), looked["subject"].nunique()
    typer.echo(f"fixations: {len(looked)} on {images_seen} images by {people} subjects")
    for path, table in zip(tables, found, strict=True):
        write_text(path, table.to_csv(index=False))
        typer.echo(table.round(3).to_string(index=False))
        typer.echo(f"wrote {path}")
