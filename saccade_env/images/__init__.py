"""Pictures to look at: :func:`create` a source by name or path, :func:`load_batch` from it.

Importing this module is cheap; ``torchvision`` and ``timm`` come with the first source.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env.cache import cache_dir
from saccade_env.config import UNLABELLED
from saccade_env.errors import unknown_name
from saccade_env.images.base import BrokenImageError, ImageSource, LabelKind, Picture
from saccade_env.images.classes import (
    class_names_imagenet,
    class_names_of,
    synset_ids_imagenet,
)
from saccade_env.images.collection import Collection
from saccade_env.images.decoding import decode
from saccade_env.images.hub import imagenet, imagenette
from saccade_env.images.labels import AmbiguousLabelsError
from saccade_env.images.layouts import open_path
from saccade_env.images.preprocess import Preprocess
from saccade_env.images.shards import is_pattern

__all__ = [
    "CATALOGUE",
    "BrokenImageError",
    "Collection",
    "ImageSource",
    "LabelKind",
    "Picture",
    "Preprocess",
    "available",
    "cache_dir",
    "check_same_size",
    "class_names_imagenet",
    "class_names_of",
    "create",
    "decode",
    "imagenet",
    "imagenette",
    "load_batch",
    "stack",
    "synset_ids_imagenet",
]

SAMPLE = Path(__file__).parent / "sample"

Spec = str | os.PathLike[str] | ImageSource | None


# What there is: summary, licence, megabytes, whether it is here.
CATALOGUE: dict[str, tuple[str, str, str, str]] = {
    "sample": ("34 pictures, each of an ImageNet class", "free, see LICENSES.md", "", "yes"),
    "imagenette": ("ten easy ImageNet classes", "ImageNet's terms", "1600", "download"),
    "imagenet:ROOT": (
        "ImageNet-1k validation set; ROOT holds the archives or their contents",
        "ImageNet's terms",
        "6400",
        "your copy",
    ),
    "PATH": ("class folders, a flat folder, Kaggle's tree, tar shards, tables", "", "", "yours"),
    "hf:REPO[:SPLIT]": ("a data set of Hugging Face (extra hub)", "its own", "", "download"),
}


def available() -> dict[str, str]:
    """What :func:`create` takes, with one line about each."""
    return {name: summary for name, (summary, *_) in CATALOGUE.items()}


def create(spec: Spec = None, preprocess: Preprocess | None = None, **keywords: Any) -> ImageSource:
    """Build an image source.

    Args:
        spec: ``"sample"``, ``"imagenette"``, ``"imagenet:ROOT"``, the path of a folder (write
            ``./sample`` for a folder of that name) or of tar shards, ``"hf:REPO[:SPLIT]"``, or a
            source, which is returned as it is. ``None`` means ``$SACCADE_IMAGENET`` if set, else
            the sample.
        preprocess: Brings each picture to one size; a ready source keeps its own.
        **keywords: Handed to the builder: ``labels`` and ``name``, see
            :func:`~saccade_env.images.layouts.open_path`, or ``split`` and ``root``.

    Raises:
        ImportError: A package is missing; the message gives the install command.
        OSError: A folder holds no picture or cannot be listed, a path is no folder, or a data set
            is not there and cannot be downloaded.
        ValueError: No known name and no existing path; the message suggests the nearest name. Or
            what a folder holds is ambiguous.
        TypeError: ``spec`` is neither text nor a source; the message names what it lacks.

    >>> source = create("sample")
    >>> len(source), source.labels, source[31].image.shape
    (34, 'imagenet', torch.Size([3, 224, 224]))
    """
    if spec is None:
        return _default(preprocess, **keywords)
    if not isinstance(spec, (str, os.PathLike)):
        return _as_source(spec)
    text = os.fsdecode(spec)
    kind, colon, root = text.partition(":")
    if text == "sample":
        return open_path(SAMPLE, preprocess, **{"name": "sample", **keywords})
    if text == "imagenette":
        return imagenette(preprocess=preprocess, **keywords)
    if kind == "imagenet" and colon and root:
        return imagenet(root, preprocess=preprocess, **keywords)
    if not (os.path.exists(os.path.expanduser(text)) or kind == "hf" or is_pattern(text)):
        raise _no_such_images(text)
    return open_path(text, preprocess, **keywords)


def load_batch(
    source: ImageSource, indices: Sequence[int] | Int[Tensor, " batch"]
) -> tuple[UInt8[Tensor, "batch 3 height width"], Int[Tensor, " batch"]]:
    """Decode pictures into one batch.

    Args:
        source: Where they come from.
        indices: Their places in it.

    Returns:
        uint8 [B, 3, H, W], and int64 [B] labels, ``UNLABELLED`` (-1) where there is none.

    Raises:
        IndexError: There is no such picture.
        BrokenImageError: A file cannot be read.
        ValueError: There are no indices, or the source broke its promise of one size.
    """
    pictures = [source[int(i)] for i in indices]
    check_same_size(pictures, source.image_size)
    return stack(pictures)


def stack(
    pictures: Sequence[Picture],
) -> tuple[UInt8[Tensor, "batch 3 height width"], Int[Tensor, " batch"]]:
    """Put pictures of one size into one batch.

    Returns:
        uint8 [B, 3, H, W], and int64 [B] labels, ``UNLABELLED`` (-1) where there is none.

    Raises:
        ValueError: There are none, or they differ in size.
    """
    if not pictures:
        raise ValueError("a batch needs at least one picture; got none")
    height, width = pictures[0].image.shape[1:]
    check_same_size(pictures, (height, width))
    labels = [UNLABELLED if picture.label is None else picture.label for picture in pictures]
    return torch.stack([picture.image for picture in pictures]), torch.tensor(labels)


def check_same_size(pictures: Iterable[Picture], image_size: tuple[int, int]) -> None:
    """Let pictures pass that are uint8 [3, H, W] with ``image_size`` = (H, W) pixels.

    Raises:
        ValueError: One is not; the message names it.
    """
    for picture in pictures:
        shape, dtype = tuple(picture.image.shape), picture.image.dtype
        if shape != (3, *image_size) or dtype != torch.uint8:
            raise ValueError(
                f"picture {picture.id!r} must be uint8 {(3, *image_size)}; got {dtype} {shape}"
            )


def _default(preprocess: Preprocess | None, **keywords: Any) -> ImageSource:
    place = os.environ.get("SACCADE_IMAGENET")
    if not place:
        return create("sample", preprocess, **keywords)
    try:
        return create(place, preprocess, **keywords)
    except AmbiguousLabelsError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"the images of $SACCADE_IMAGENET cannot be used: {error}") from error


def _as_source(spec: Any) -> ImageSource:
    # Looked up without reading a property: for the identity a source reads every file.
    members = {name for name in vars(ImageSource) if name[0] != "_"} | {"__len__", "__getitem__"}
    missing = object()
    lacking = {name for name in members if inspect.getattr_static(spec, name, missing) is missing}
    if lacking:
        raise TypeError(
            f"images must be a name, a path or an ImageSource; got {type(spec).__name__}, which "
            f"lacks {', '.join(sorted(lacking))}"
        )
    return cast(ImageSource, spec)


def _no_such_images(text: str) -> ValueError:
    if not text:
        return ValueError(f"images is an empty text; expected one of {', '.join(available())}")
    if text.rstrip(":") == "imagenet":
        return ValueError("'imagenet' needs the folder of the data set: 'imagenet:ROOT'")
    place = os.path.abspath(os.path.expanduser(text))
    return ValueError(f"{unknown_name('images', text, available())} {place} does not exist either.")
