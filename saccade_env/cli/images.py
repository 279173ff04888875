"""`saccade-env images`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade_env.cli.console import file_name, note
from saccade_env.cli.making import check_classifier, open_images
from saccade_env.cli.options import ClassifierName, Device, Labels, Limit, Seed
from saccade_env.cli.root import app

if TYPE_CHECKING:
    from saccade_env.evaluation.label_check import LabelCheck, Looked
    from saccade_env.images import Collection

_NAMED = 5  # files that cannot be read


@app.command()
def images(
    path: Annotated[
        str | None,
        typer.Argument(
            help="Folder, tar shards, 'hf:REPO[:SPLIT]' or another name of images. "
            "Default: $SACCADE_IMAGENET if set, else the sample.",
            show_default=False,
        ),
    ] = None,
    labels: Labels = None,
    classifier: ClassifierName = "auto",
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Classify 64 whole images, and see if labels are right."
        ),
    ] = True,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The contact sheet of 64 images. Default: saccade-runs/NAME.png.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Describe images: layout, classes, sizes, what cannot be read, and if labels are right.

    All files are decoded once, or those of --limit; the contact sheet shows what they hold, and
    with a classifier what it makes of them.
    """
    from saccade_env import classifiers
    from saccade_env.evaluation import label_check
    from saccade_env.files import check_writable
    from saccade_env.images.labels import AmbiguousLabelsError

    check_classifier(classifier)
    ambiguous = False
    try:
        source = open_images(path, labels)
    except AmbiguousLabelsError as error:
        note(error)
        ambiguous, source = True, open_images(path, error.readings[0])
    out = out or Path("saccade-runs") / f"{file_name(source.name)}.png"
    check_writable(out)
    typer.echo(f"{source.name}: {len(source)} pictures, {source.layout}")
    _describe(source, limit, seed)
    judge, looked = None, label_check.Looked()
    if check:
        judge = classifiers.create(classifier, device=device, image_size=source.image_size)
        looked = label_check.look(source, judge, seed=seed)
    if judge and (checked := label_check.of_source(source, looked)):
        _say(judge.name, checked, ambiguous)
    if drawn := _draw(source, looked, seed, out):
        typer.echo(f"wrote {drawn}")


def _describe(source: Collection, limit: int | None, seed: int) -> None:
    """Classes, sizes and what cannot be read."""
    from tqdm.auto import tqdm

    from saccade_env.images.derived import sample
    from saccade_env.images.feeding import batches, check_workers, chunked

    if source.labels != "none":
        counts = Counter(source.label(i) for i in range(len(source))).values()
        typer.echo(f"classes: {len(counts)}, of {min(counts)} to {max(counts)} pictures")
    chosen = sample(range(len(source)), limit, seed)
    broken, sizes = list[dict[str, str]](), list[tuple[int, int]]()
    with tqdm(total=len(chosen), desc="reading", unit="picture", delay=2, disable=None) as bar:
        places = {source.id(i): i for i in chosen}
        for batch in batches(source, chunked(chosen, 64), "skip", max(1, check_workers(None))):
            broken += batch.broken
            sizes += [source.original_size(places[picture.id]) for picture in batch.pictures]
            bar.update(len(batch.pictures) + len(batch.broken))
    if sizes:
        areas = sorted(sizes, key=lambda size: size[0] * size[1])
        small, middle, large = (areas[place] for place in (0, len(areas) // 2, -1))
        typer.echo(
            f"sizes: {_size(small)} to {_size(large)}, median {_size(middle)} pixels "
            "(height × width)"
        )
    typer.echo(f"cannot be read: {len(broken)} of {len(chosen)}")
    for each in broken[:_NAMED]:
        typer.echo(f"  {each['reason']}")


def _size(size: tuple[int, int]) -> str:
    return "×".join(map(str, size))


def _say(classifier: str, checked: LabelCheck, ambiguous: bool) -> None:
    from rich.console import Console

    from saccade_env.drawing.text import table
    from saccade_env.images.labels import READINGS

    shown = table(
        f"{classifier} on {checked.images} whole images", "labels read as", "right (%)", "which are"
    )
    for reading, right in checked.accuracy.items():
        shown.add_row(reading, f"{100 * right:.1f}", READINGS[reading])
    Console().print(shown)
    if ambiguous:
        known = f"right most often as {checked.best}: pass --labels {checked.option}"
        typer.echo(known if checked.tells else "too few pictures, or no reading fits, to say which")
    elif checked.verdict:
        note(checked.verdict)


def _draw(source: Any, looked: Looked, seed: int, out: Path) -> Path | None:
    from PIL import Image

    from saccade_env.drawing.contact_sheet import Cell, contact_sheet
    from saccade_env.drawing.style import BLUE, ORANGE
    from saccade_env.evaluation.label_check import COUNT
    from saccade_env.files import replacing
    from saccade_env.images import class_names_imagenet
    from saccade_env.images.derived import sample
    from saccade_env.images.feeding import batches

    chosen = batches(source, [sample(range(len(source)), COUNT, seed)], "skip", 0)
    pictures = looked.pictures or [picture for batch in chosen for picture in batch.pictures]
    cells = []
    for number, picture in enumerate(pictures):
        label = "" if picture.label is None else source.class_names[picture.label]
        remark, colour = "", ORANGE
        if len(looked.predictions):
            found = looked.predictions[number]
            remark = class_names_imagenet()[found]
            colour = BLUE if found == picture.label else ORANGE
        pixels = picture.image.permute(1, 2, 0).numpy()
        cells.append(Cell(pixels, label or picture.id, remark, colour))
    if not cells:
        return None
    with replacing(out) as temporary:
        Image.fromarray(contact_sheet(cells)).save(temporary, "PNG")
    return out
