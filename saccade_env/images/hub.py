"""Data sets that ``torchvision`` knows how to fetch or unpack, as a collection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from saccade_env.cache import cache_dir
from saccade_env.images.collection import Collection
from saccade_env.images.layouts import open_path
from saccade_env.images.preprocess import Preprocess

Split = Literal["train", "val"]

IMAGENETTE = "imagenette2"  # the folder inside the archive of the full-size pictures


def imagenette(
    root: str | os.PathLike[str] | None = None,
    split: Split = "val",
    preprocess: Preprocess | None = None,
    **keywords: Any,
) -> Collection:
    """Ten easy ImageNet classes at full size; 1.6 GB are downloaded the first time.

    Args:
        root: Holds, or will hold, the folder ``imagenette2``; by default :func:`cache_dir`.
        split: ``"val"`` or ``"train"``.
        preprocess: Brings each picture to one size.
        **keywords: Of :func:`~saccade_env.images.layouts.open_path`.

    Raises:
        OSError: It is not there and cannot be downloaded; the message says what to do.
        ValueError: There is no such split.
    """
    from torchvision.datasets import Imagenette

    home = cache_dir() if root is None else Path(root).expanduser()
    absent = not (home / IMAGENETTE).exists()  # some versions refuse to download a second time
    try:
        Imagenette(home, split=split, size="full", download=absent)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"cannot get Imagenette into {home} ({error}). Connect to the network and try again "
            f"(remove an incomplete {home / IMAGENETTE} first), or unpack imagenette2.tgz from "
            f"https://github.com/fastai/imagenette there, or use the images 'sample'"
        ) from error
    return open_path(home / IMAGENETTE / split, preprocess, **{"name": "imagenette", **keywords})


def imagenet(
    root: str | os.PathLike[str],
    split: Split = "val",
    preprocess: Preprocess | None = None,
    **keywords: Any,
) -> Collection:
    """ImageNet-1k (ILSVRC 2012), unpacked by ``torchvision`` the first time.

    Args:
        root: Holds the archives as downloaded from image-net.org, or what was unpacked from them.
        split: ``"val"`` or ``"train"``.
        preprocess: Brings each picture to one size.
        **keywords: Of :func:`~saccade_env.images.layouts.open_path`.

    Raises:
        OSError: Neither is there; the message says what to do.
        ValueError: There is no such split.
    """
    from torchvision.datasets import ImageNet

    home = Path(root).expanduser()
    try:
        if not home.is_dir():
            raise NotADirectoryError("there is no such folder")
        folder = ImageNet(home, split=split).split_folder
    except ValueError:  # there is no such split
        raise
    except Exception as error:  # torch lets through whatever a damaged file makes it raise
        told = isinstance(error, (ImportError, OSError, RuntimeError))
        reason = error if told else "its meta.bin is damaged; remove it, and it is made anew"
        raise OSError(
            f"cannot open ImageNet in {home} ({reason}). Put ILSVRC2012_devkit_t12.tar.gz and "
            f"ILSVRC2012_img_{split}.tar from https://image-net.org there; if the pictures are in "
            f"class folders already, give that folder as images, such as '{home / split}'"
        ) from error
    return open_path(folder, preprocess, **{"name": "imagenet", **keywords})
