"""Which weights are published where, under which licence. Only this table names addresses.

No hash is given that its publisher does not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import basename

from saccade_env.errors import unknown_name

ALL = "all"


@dataclass(frozen=True)
class WeightsFile:
    """A published file.

    Attributes:
        name: Its key in :data:`TABLE`.
        url: Where it is published.
        file: Its name in the cache.
        licence: SPDX identifier of the licence of the weights.
        size_mb: About how many megabytes it has; 0 if unknown.
        sha256: Its hash as its publisher gives it, if so.
        what: One line about it.
        sha256_prefix: Leading hex digits of the hash, where the publisher gives only these.
        marks: Keys that some key of the file must end with: tells it from another network's, since
            a first download is pinned where no hash is published.
    """

    name: str
    url: str
    file: str
    licence: str
    size_mb: int = 0
    sha256: str | None = None
    what: str = ""
    sha256_prefix: str = ""
    marks: tuple[str, ...] = ()

    @property
    def published_file(self) -> str:
        """Its name where it is published: what a browser saves it as."""
        return basename(self.url)


def _dino(release: str, kind: str, suffix: str, size_mb: int, what: str) -> WeightsFile:
    file = f"{release}_{suffix}.pth"
    url = f"https://dl.fbaipublicfiles.com/dino/{release}_pretrain/{file}"
    marks = {"backbone": ("cls_token", "blocks.0.attn.qkv.weight"), "linear": ("linear.weight",)}
    return WeightsFile(
        f"{release}-{kind}", url, file, "Apache-2.0", size_mb, what=what, marks=marks[kind]
    )


_DINO = {  # our name: name of the release, what it is, MB of its backbone
    "dino_vits16": ("dino_deitsmall16", "DINO ViT-S/16", 87),
    "dino_vits8": ("dino_deitsmall8", "DINO ViT-S/8", 87),
    "dino_vitb16": ("dino_vitbase16", "DINO ViT-B/16", 343),
    "dino_vitb8": ("dino_vitbase8", "DINO ViT-B/8", 343),
}

_FILES = (
    *(_dino(r, "backbone", "pretrain", mb, f"{what}, backbone") for r, what, mb in _DINO.values()),
    *(_dino(r, "linear", "linearweights", 6, f"{what}, head") for r, what, _ in _DINO.values()),
    WeightsFile(
        name="unisal",
        url="https://github.com/rdroste/unisal/raw/master/training_runs/pretrained_unisal/"
        "weights_best.pth",
        file="unisal_weights_best.pth",
        licence="Apache-2.0",
        size_mb=15,
        what="UNISAL, saliency of pictures and videos",
        marks=("coarse_gaussians_dhf1k",),
    ),
    WeightsFile(
        name="resnet50",
        url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        file="resnet50-11ad3fa6.pth",
        licence="BSD-3-Clause",
        size_mb=98,
        what="torchvision's ResNet-50, IMAGENET1K_V2",
        sha256_prefix="11ad3fa6",  # torchvision puts it into the file's name
    ),
)

TABLE: dict[str, WeightsFile] = {file.name: file for file in _FILES}

GROUPS: dict[str, tuple[str, ...]] = {
    **{name: (f"{r}-backbone", f"{r}-linear") for name, (r, _, _) in _DINO.items()},
    "unisal": ("unisal",),
    "resnet50": ("resnet50",),
}


def names() -> list[str]:
    """What can be asked for: the keys of :data:`GROUPS`."""
    return list(GROUPS)


def members(name: str) -> list[WeightsFile]:
    """Files of a group, of an entry of :data:`TABLE`, or of ``"all"``.

    Raises:
        ValueError: There is no such name; the message suggests the nearest.
    """
    if name == ALL:
        return list(TABLE.values())
    if name not in GROUPS and name not in TABLE:
        raise unknown_name("weights", name, {*GROUPS, *TABLE, ALL})
    return [TABLE[entry] for entry in GROUPS.get(name, (name,))]


def single(name: str) -> WeightsFile:
    """The one file of this name.

    Raises:
        ValueError: There is no such name, or it stands for several files; the message lists them.
    """
    files = members(name)
    if len(files) != 1:
        listed = ", ".join(file.name for file in files)
        raise ValueError(f"{name!r} has {len(files)} files; name one of them: {listed}")
    return files[0]


def group_of(file: WeightsFile) -> str:
    """The name a user asks for to get this file."""
    return next((name for name, entries in GROUPS.items() if file.name in entries), file.name)
