"""Fixations and stimuli of pysaliency: its HDF5 files, read with h5py alone, and its objects.

Both are known by what they hold, so pysaliency itself is not needed. Positions are in pixels of
the stimulus, 0 at the outer edge of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float

COLUMNS = ["image", "subject", "order", "x", "y"]
T = TypeVar("T")
Train = tuple[int, str, Float[np.ndarray, "fixations 2"]]  # stimulus, subject, (x, y)


def read(fixations: Any, stimuli: Any) -> pd.DataFrame:
    """Rows of every fixation of every scanpath, see :mod:`.formats`.

    Args:
        fixations: ``FixationTrains``, ``ScanpathFixations`` or ``Scanpaths``, or the path of a
            file that one of them wrote (``to_hdf5``).
        stimuli: ``FileStimuli``, whose file names are the images, or ``Stimuli`` of arrays, whose
            numbers from 0 are; or the path of a file that one of them wrote.

    Raises:
        OSError: A file cannot be read or is no HDF5.
        ImportError: It is a path, and h5py is not installed.
        ValueError: It is something else, or fixations are on stimuli that are not there.
    """
    pictures = _open(stimuli, _pictures)
    rows: list[tuple[Any, ...]] = []
    places = []
    for number, (stimulus, subject, positions) in enumerate(_open(fixations, _scanpaths), 1):
        if not 0 <= stimulus < len(pictures):
            raise ValueError(
                f"{_called(fixations)}, scanpath {number}: it is on stimulus {stimulus}, but "
                f"{_called(stimuli)} has {len(pictures)}"
            )
        name, *size = pictures[stimulus]
        rows += [(name, subject, at, *xy, *size) for at, xy in enumerate(positions.tolist())]
        places += [f"scanpath {number}, fixation {at + 1}" for at in range(len(positions))]
    return pd.DataFrame(rows, places, [*COLUMNS, "frame_height", "frame_width"])


def _open(given: Any, read_from: Callable[[Any, str], T]) -> T:
    """What ``read_from`` makes of an object or of the contents of a file."""
    if not isinstance(given, (str, Path)):
        return read_from(given, _called(given))
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{given}: to read HDF5 needs h5py: pip install h5py (the extra 'human')"
        ) from error
    try:
        if not Path(given).is_file():
            raise OSError("it is no regular file")
        file = h5py.File(given)
    except OSError as error:
        raise type(error)(f"cannot read HDF5 from {given}: {error}") from error
    with file:
        try:
            return read_from(file, str(given))
        except (TypeError, IndexError, AttributeError, KeyError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{given}: this is not in the form that pysaliency writes: {error}"
            ) from error


def _scanpaths(found: Any, what: str) -> list[Train]:
    member = _members(found)
    inner = member("scanpaths")
    member = member if inner is None else _members(inner)
    names = "xs", "ys", "n"
    if member("train_xs") is not None:
        names = "train_xs", "train_ys", "train_ns"
        subjects, lengths = member("train_subjects"), None
    else:
        subjects = (member("scanpath_attributes") or {}).get("subject")
        lengths = member("lengths") if member("length") is None else member("length")
    parts = [member(name) for name in names] + [subjects]
    if any(part is None for part in parts):
        raise ValueError(
            f"{what}: expected scanpaths of pysaliency with subjects (FixationTrains, "
            f"ScanpathFixations, Scanpaths); got {_type(found)}"
        )
    if len({*map(len, parts)}) > 1:
        counts = ", ".join(map(str, map(len, parts)))
        raise ValueError(f"{what}: xs, ys, n and subjects differ in length: {counts}")
    xs, ys = ([np.asarray(row, dtype=float) for row in _whole(part)] for part in parts[:2])
    for number, (x, y) in enumerate(zip(xs, ys, strict=True), 1):
        if len(x) != len(y):
            raise ValueError(f"{what}, scanpath {number}: {len(x)} values of xs, {len(y)} of ys")
    stimuli, people = np.asarray(parts[2]), np.asarray(parts[3])
    lengths = None if lengths is None else np.asarray(lengths)
    _check_counts(what, "n", stimuli)
    if lengths is not None:
        _check_counts(what, "length", lengths)
        for number, (x, length) in enumerate(zip(xs, lengths, strict=True), 1):
            if not 0 <= length <= len(x):
                raise ValueError(f"{what}, scanpath {number}: length {length} of {len(x)} places")
    return [
        (int(stimuli[i]), _text(people[i]), _unpadded(xs[i], ys[i], lengths, i))
        for i in range(len(xs))
    ]


def _check_counts(what: str, name: str, counts: np.ndarray) -> None:
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise ValueError(
            f"{what}: {name} must be whole numbers, one a scanpath; got {counts.dtype}"
        )


def _unpadded(
    xs: Float[np.ndarray, " x"], ys: Float[np.ndarray, " y"], lengths: Any, i: int
) -> Float[np.ndarray, "fixations 2"]:
    """(x, y) of a scanpath; without a length it ends with the last position that is no NaN."""
    both = np.stack((xs, ys), axis=1)
    seen = np.flatnonzero(~np.isnan(both).all(axis=1))
    return both[: seen.max(initial=-1) + 1 if lengths is None else int(lengths[i])]


def _pictures(found: Any, what: str) -> list[tuple[str, float, float]]:
    """Name, height and width of each."""
    member = _members(found)
    names, shapes = member("filenames"), member("shapes")
    if names is None and shapes is None and "size" in getattr(found, "attrs", ()):
        shapes = [member(str(i)).shape for i in range(int(found.attrs["size"]))]
    if shapes is None:
        raise ValueError(
            f"{what}: expected stimuli of pysaliency (FileStimuli, Stimuli); got {_type(found)}"
        )
    texts = map(str, range(len(shapes))) if names is None else map(_text, _whole(names))
    if names is not None and len(names) != len(shapes):
        raise ValueError(f"{what}: {len(names)} file names, {len(shapes)} shapes")
    sizes = [(float(shape[0]), float(shape[1])) for shape in _whole(shapes)]
    return [(text.replace("\\", "/"), *size) for text, size in zip(texts, sizes, strict=True)]


def _members(found: Any) -> Callable[[str], Any]:
    """What an HDF5 group or an object has under a name; None if nothing."""
    if hasattr(found, "visititems"):
        getter: Callable[[str], Any] = found.get
        return getter
    return lambda name: getattr(found, name, None)


def _whole(part: Any) -> list[Any]:
    """All rows: of a data set in one reading, of other things one by one."""
    rows = part[...] if hasattr(part, "chunks") else part
    return [rows[i] for i in range(len(rows))]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _type(found: Any) -> str:
    attrs = getattr(found, "attrs", {})
    return repr(_text(attrs["type"])) if "type" in attrs else type(found).__name__


def _called(given: Any) -> str:
    return str(given) if isinstance(given, (str, Path)) else type(given).__name__
