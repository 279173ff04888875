"""What a collection of pictures must offer: :class:`ImageSource`.

Pictures are decoded when asked for, never before, so one broken file spoils one reading and not
the collection. Sizes are (height, width); a picture is uint8 [3, H, W], channels in RGB order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

if TYPE_CHECKING:
    from saccade_env.images.preprocess import Preprocess

LabelKind = Literal["imagenet", "own", "none"]


class Picture(NamedTuple):
    """One picture, ready for a classifier."""

    image: UInt8[Tensor, "3 height width"]
    label: int | None  # index into the source's class_names
    id: str  # path relative to the source's root, with forward slashes; always UTF-8


class BrokenImageError(ValueError):
    """A file that cannot be read as a picture; the message names it and what is wrong."""


@runtime_checkable
class ImageSource(Protocol):
    """A fixed, ordered collection of pictures of one size."""

    @property
    def name(self) -> str:
        """Short name for reports."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels of every picture."""

    @property
    def labels(self) -> LabelKind:
        """What labels mean, ImageNet-1k class indices, the source's own, or there are none."""

    @property
    def description(self) -> Mapping[str, str]:
        """What else results state of it, such as its ``layout``; may be empty."""

    @property
    def class_names(self) -> list[str]:
        """Name of each label; empty without labels."""

    @property
    def preprocess(self) -> Preprocess | None:
        """What brought the pictures to their size, as it is stated in results; None for nothing."""

    @property
    def identity(self) -> str:
        """Which data these are, as sha256 (hex) over ids, labels and contents.

        Records of one identity are taken to be of the same pictures.
        """

    def __len__(self) -> int:
        """Number of pictures."""

    def __getitem__(self, i: int, /) -> Picture:
        """Decode picture ``i``; negative numbers count from the end.

        Called from several threads at once, to read ahead; a source that cannot stand that is used
        with ``workers=0`` (``evaluate`` and the vector environment).

        Raises:
            IndexError: There is no such picture.
            BrokenImageError: Its file cannot be read.
        """

    def id(self, i: int, /) -> str:
        """Path of picture ``i`` relative to the root, without decoding it; each has its own."""
