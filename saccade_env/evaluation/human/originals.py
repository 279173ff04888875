"""From pixels of the files as they are on disk to tokens of the pictures that are made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from saccade_env import geometry
from saccade_env.images import ImageSource

FRAME = ["frame_height", "frame_width"]


def in_source(
    rows: pd.DataFrame, source: ImageSource, what: str, notes: list[str]
) -> tuple[pd.DataFrame, int]:
    """Rows with the source's ids as ``image``, and how many are left out: on images it lacks.

    Args:
        rows: With names as :func:`match` takes them.
        source: The pictures.
        what: Where the rows are from.
        notes: What there is to tell is added.

    Raises:
        ValueError: No image is in the source, or :func:`match` raises it.
    """
    ids = [source.id(i) for i in range(len(source))]
    names = rows["image"].unique()
    found = match(names, ids)
    if not found:
        raise ValueError(
            f"{what}: no image is among those of {source.name!r}, whose ids must be the same; "
            f"fixations are on {_some([*names])}, and it has {_some(ids)}"
        )
    other = sorted(name for name in found if found[name] != name)
    if other:
        notes.append(
            f"{len(other)} of {len(names)} images were found by file name, such as {other[0]!r} "
            f"as {found[other[0]]!r}"
        )
    known = rows["image"].isin(found)
    if left := int((~known).sum()):
        lacking = sorted({*names} - {*found})
        notes.append(
            f"left out: {left} fixations on {len(lacking)} images that {source.name!r} does not "
            f"have, such as {lacking[0]!r}"
        )
    kept = rows[known]
    return kept.assign(image=kept["image"].map(found)), left


def match(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """The id of a source's picture that each name means; names of no picture are left out.

    A name that is an id means it. Else the ends of both are compared, the more folders the
    earlier, down to file names, and at last file names without their suffixes. An id that a name
    means is not thought of again.

    Raises:
        ValueError: A name may mean several pictures, or several names the same one.
    """
    free, left = {*ids}, {*names}
    found = {name: name for name in left & free}
    deepest = max((len(PurePosixPath(name).parts) for name in left), default=0)
    for depth in range(deepest, -1, -1):
        free, left = free - {*found.values()}, left - {*found}
        meant, meaning = _by_end(free, depth), _by_end(left, depth)
        for end in meaning.keys() & meant.keys():
            if len(meaning[end]) > 1 or len(meant[end]) > 1:
                raise ValueError(
                    f"cannot tell which picture is meant: fixations are on {_some(meaning[end])}, "
                    f"and among the images are {_some(meant[end])}; give names with folders, or "
                    "choose one of COCO-Search18's tasks (task=, --task)"
                )
            found[meaning[end][0]] = meant[end][0]
    return found


def to_share(
    rows: pd.DataFrame,
    pixels: Float[np.ndarray, "fixations 2"],
    source: ImageSource,
    padded: bool = False,
) -> tuple[Float[np.ndarray, "fixations 2"], Bool[np.ndarray, " fixations"]]:
    """(row, col) as shares of the height and width of what is seen of each picture.

    Args:
        rows: Their ``image``, an id of the source, and columns ``FRAME`` if the pixels are not
            those of the file but of a frame that shows it, see :func:`saccade_env.geometry.unpad`.
        pixels: (row, col) of each fixation.
        source: Gives the sizes of the files and which part of each it shows.
        padded: The frames may be of another shape than the pictures, which they fill in part.

    Returns:
        The shares, and which are on the picture at all, be it on a part that is not seen.

    Raises:
        ValueError: The source does not know sizes, or brings its pictures to one size unknown how;
            or a frame is of another shape than the picture though it is not padded.
    """
    original_size, preprocess = getattr(source, "original_size", None), source.preprocess
    if original_size is None or preprocess is None:
        raise ValueError(
            "positions in pixels of the original files need images that know the size of each "
            f"(original_size) and how it was cropped (preprocess); {source.name!r} has no "
            f"{'preprocess' if original_size else 'original_size'}"
        )
    places = {source.id(i): i for i in range(len(source))}
    sizes, boxes = {}, {}
    for image in rows["image"].unique():
        sizes[image] = original_size(places[image])
        boxes[image] = preprocess.box(sizes[image])
    size, box = (_of_each(rows["image"], values) for values in (sizes, boxes))
    if {*FRAME} <= {*rows}:
        frame = rows[FRAME].to_numpy(dtype=float)
        if not padded:
            _check_shapes(rows["image"], frame, size)
        pixels = geometry.unpad(pixels, frame, size)
    on_picture = ((pixels >= 0) & (pixels <= size)).all(axis=1)
    return geometry.box_to_share(pixels, box), np.asarray(on_picture)


def _check_shapes(
    images: pd.Series[str],
    frame: Float[np.ndarray, "rows 2"],
    size: Float[np.ndarray, "rows 2"],
) -> None:
    """Let frames pass that are the picture enlarged or reduced, to a pixel."""
    scale = (frame / size).min(axis=1, keepdims=True)
    wrong = (np.abs(frame - scale * size) > 1).any(axis=1)
    if wrong.any():
        at = int(wrong.argmax())
        (height, width), (tall, wide) = size[at], frame[at]
        raise ValueError(
            f"the file of {images.iloc[at]!r} is {height:g}×{width:g} pixels, but the stimulus "
            f"{tall:g}×{wide:g}, another shape ({images[wrong].nunique()} such); if stimuli are "
            f"padded pictures, say so: screen=({tall:g}, {wide:g}), --screen {wide:g}x{tall:g}"
        )


def _of_each(images: pd.Series[str], values: dict[str, Any]) -> Float[np.ndarray, "rows values"]:
    return np.array([values[image] for image in images], dtype=float)


def _by_end(paths: Iterable[str], depth: int) -> dict[tuple[str, ...], list[str]]:
    """Paths by their last parts; depth 0 is the file name without its suffix."""
    ends: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in sorted(paths):
        pure = PurePosixPath(path)
        if len(pure.parts) >= depth:
            ends[pure.parts[-depth:] if depth else (pure.stem,)].append(path)
    return ends


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(map(repr, names[:2])) + more
