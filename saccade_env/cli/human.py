"""`saccade-env human`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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

if TYPE_CHECKING:
    import pandas as pd


def _positive(sigma: float) -> float:
    if not 0 < sigma < float("inf"):
        raise typer.BadParameter(f"{sigma} is no positive number of tokens.")
    return sigma


def _screen(text: str) -> tuple[int, int]:
    """``"1680x1050"``, width first as screens are written, to (height, width)."""
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if not found:
        raise typer.BadParameter(f"--screen is width x height, as in 1680x1050; got {text!r}.")
    return int(found[2]), int(found[1])


def _what_was_read(looked: pd.DataFrame, outside: str) -> str:
    """One line: format, unit, how many, and what was left out."""
    said = looked.attrs
    screen = f" on a screen of {'×'.join(map(str, said['screen'][::-1]))}" if said["screen"] else ""
    images, people = looked["image"].nunique(), looked["subject"].nunique()
    cropped = f" ({said['cropped']} on what the crop cuts off)" if said["cropped"] else ""
    parts = [f"{len(looked)} on {images} images by {people} subjects"]
    fates = {
        "skipped": "first ones skipped",
        "missing": "without a position dropped",
        "unknown": "on images that are not there dropped",
        "outside": f"outside the image{cropped} {'kept' if outside == 'keep' else 'dropped'}",
    }
    parts += [f"{said[reason]} {fate}" for reason, fate in fates.items() if said.get(reason)]
    return f"fixations ({said['format']}, {said['unit']}{screen}): {'; '.join(parts)}"


@app.command()
def human(
    fixations: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV with image (as in the records), subject, order, and row, col or x, y; or the "
            "JSON of COCO-FreeView or COCO-Search18; or pysaliency's scanpaths in HDF5.",
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
        Literal["token", "pixel", "relative", "original"] | None,
        typer.Option(
            help="Of the positions: row, col in tokens; x, y in pixels of the cropped image, "
            "relative to its size (0 to 1), or in pixels of the original file. Default: original "
            "for JSON, HDF5 and with a screen; else token or pixel, by the columns.",
            show_default=False,
        ),
    ] = None,
    screen: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Positions are on a screen of this size in pixels, in whose middle each original "
            "was shown as large as fits. Default: 1680x1050 for JSON, else none.",
            show_default=False,
        ),
    ] = None,
    stimuli: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="pysaliency's stimuli in HDF5, which its scanpaths are on.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Take only this task of COCO-Search18, as 'bottle'.", show_default=False),
    ] = None,
    skip_first: Annotated[
        int,
        typer.Option(
            min=0,
            help="Leave out so many first fixations of every scanpath: 1 where the first is "
            "imposed, as in COCO-FreeView and COCO-Search18.",
        ),
    ] = 0,
    missing: Annotated[
        Literal["raise", "drop"],
        typer.Option(help="Positions that are empty or NaN (blinks): 'raise' stops, 'drop' skips."),
    ] = "raise",
    outside: Annotated[
        Literal["raise", "drop", "keep"],
        typer.Option(
            help="Fixations outside the image, as on what the crop cuts off: 'raise' stops, 'drop' "
            "leaves them out, 'keep' compares scanpaths with them, maps without."
        ),
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

    shown_on = None if screen is None else _screen(screen)
    tables = [out / "maps.csv", out / "scanpaths.csv"]
    for path in tables:
        check_writable(path)
    check_classifier(classifier)
    built = find_policies(policy, seed, device)
    source, judge = open_pair(open_images(images, labels), classifier, device)
    looked = comparison.read_fixations(
        fixations,
        unit=unit,
        patch_size=judge.patch_size,
        source=source,
        stimuli=stimuli,
        screen=shown_on,
        task=task,
        skip_first=skip_first,
        missing=missing,
        outside=outside,
    )
    typer.echo(_what_was_read(looked, outside))
    policies = {name: build(judge.grid) for name, build in built.items()}
    config = SaccadeConfig(judge.grid, fovea, saccades)
    found = comparison.compare(
        policies,
        source,
        judge,
        looked,
        config,
        sigma=sigma,
        first=first,
        outside="keep" if outside == "keep" else "raise",
    )
    for path, table in zip(tables, found, strict=True):
        write_text(path, table.to_csv(index=False))
        typer.echo(table.round(3).to_string(index=False))
        typer.echo(f"wrote {path}")
