"""Which weights are published where, under which licence. Only this table names addresses.

No hash is given that its publisher does not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from posixpath import basename

from saccade_env.cache import cache_dir
from saccade_env.errors import unknown_name

ALL = "all"
_VIT, _LINEAR = "saccade_env.classifiers.vit.dino:vision_transformer", "torch.nn:Linear"


@dataclass(frozen=True)
class WeightsFile:
    """A published file.

    Attributes:
        name: Its key in :data:`TABLE`.
        url: Where it is published.
        file: Its name in the cache.
        licence: SPDX identifier of the licence of the weights.
        size_mb: About how many megabytes it has.
        network: ``"module:callable"`` that builds the network which the tensors must fit.
        sizes: What that is called with.
        what: One line about it.
        sha256: Its hash, or the beginning of it, as its publisher gives it; empty if not.
    """

    name: str
    url: str
    file: str
    licence: str
    size_mb: int
    network: str
    sizes: tuple[int, ...] = ()
    what: str = ""
    sha256: str = ""

    @property
    def published_file(self) -> str:
        """Its name where it is published, what a browser saves it as."""
        return basename(self.url)

    @property
    def most_bytes(self) -> int:
        """What is longer cannot be this file, twice its size, as optimiser states may be in it."""
        return (2 * self.size_mb + 8) * 1_000_000

    @property
    def place(self) -> Path:
        """Where it is, or will be."""
        return cache_dir() / "weights" / self.file

    @property
    def record(self) -> Path:
        """Where its hash is recorded."""
        return self.place.with_name(f"{self.file}.sha256")

    @property
    def group(self) -> str:
        """The name a user asks for to get this file."""
        return next((name for name, files in GROUPS.items() if self.name in files), self.name)


def _dino(release: str, model: str, width: int, patch_size: int) -> tuple[WeightsFile, WeightsFile]:
    def file(part: str, suffix: str, size_mb: int, network: str, *sizes: int) -> WeightsFile:
        name = f"{release}_{suffix}.pth"
        url = f"https://dl.fbaipublicfiles.com/dino/{release}_pretrain/{name}"
        what = f"DINO {model}/{patch_size}, {part}"
        entry = f"{release}-{part}"
        return WeightsFile(entry, url, name, "Apache-2.0", size_mb, network, sizes, what)

    return (
        file("backbone", "pretrain", {384: 87, 768: 343}[width], _VIT, width, patch_size),
        file("linear", "linearweights", 6, _LINEAR, 1536, 1000),
    )


def _dinov2(letter: str, width: int, depth: int, registers: int) -> tuple[WeightsFile, ...]:
    """The backbone, and its heads on 4 layers and on 1."""
    base = f"dinov2_vit{letter.lower()}14"
    release = base + "_reg4" * bool(registers)

    def file(part: str, suffix: str, parameters: int, network: str, *sizes: int) -> WeightsFile:
        name, entry = f"{release}_{suffix}.pth", f"{base}{'_reg' * bool(registers)}-{part}"
        url = f"https://dl.fbaipublicfiles.com/dinov2/{base}/{name}"
        what = f"DINOv2 ViT-{letter}/14{', registers' * bool(registers)}, {part}"
        size_mb = 1 + 4 * parameters // 1_000_000
        return WeightsFile(entry, url, name, "Apache-2.0", size_mb, network, sizes, what)

    sizes = width, 14, depth, 518, width // 64, registers
    heads = ((4, "linear4_head"), (1, "linear_head"))
    return (
        file("backbone", "pretrain", 12 * depth * width**2 + 1970 * width, _VIT, *sizes),
        *(
            file(f"linear{n}", suffix, 1000 * (n + 1) * width, _LINEAR, (n + 1) * width, 1000)
            for n, suffix in heads
        ),
    )


_DINO = {
    "dino_vits16": _dino("dino_deitsmall16", "ViT-S", 384, 16),
    "dino_vits8": _dino("dino_deitsmall8", "ViT-S", 384, 8),
    "dino_vitb16": _dino("dino_vitbase16", "ViT-B", 768, 16),
    "dino_vitb8": _dino("dino_vitbase8", "ViT-B", 768, 8),
    "dinov2_vits14": _dinov2("S", 384, 12, 0),
    "dinov2_vits14_reg": _dinov2("S", 384, 12, 4),
    "dinov2_vitb14": _dinov2("B", 768, 12, 0),
    "dinov2_vitb14_reg": _dinov2("B", 768, 12, 4),
    "dinov2_vitl14": _dinov2("L", 1024, 24, 0),
    "dinov2_vitl14_reg": _dinov2("L", 1024, 24, 4),
}

_FILES = (
    *(backbone for backbone, *_ in _DINO.values()),
    *(head for _, *heads in _DINO.values() for head in heads),
    WeightsFile(
        name="unisal",
        url="https://github.com/rdroste/unisal/raw/master/training_runs/pretrained_unisal/"
        "weights_best.pth",
        file="unisal_weights_best.pth",
        licence="Apache-2.0",
        size_mb=15,
        network="saccade_env.policies.unisal_network:UNISAL",
        what="UNISAL, saliency of pictures and videos",
    ),
    WeightsFile(
        name="resnet50",
        url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        file="resnet50-11ad3fa6.pth",
        licence="BSD-3-Clause",
        size_mb=98,
        network="torchvision.models:resnet50",
        what="torchvision's ResNet-50, IMAGENET1K_V2",
        sha256="11ad3fa6",  # torchvision puts it into the file's name
    ),
)

TABLE: dict[str, WeightsFile] = {file.name: file for file in _FILES}

GROUPS: dict[str, tuple[str, ...]] = {
    **{name: tuple(file.name for file in files[:2]) for name, files in _DINO.items()},
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
