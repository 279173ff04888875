"""Pictures to learn from: a part of a source, and crops and flips of it.

Both are image sources without a state: which picture an index gives depends on nothing else, so
threads may read in any order and a training goes on exactly where it stopped.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from saccade_env.images import ImageSource, Picture
from saccade_env.images.derived import Derived, Subset, sample

_BILINEAR = PIL.Image.Resampling.BILINEAR
_RATIO = (3 / 4, 4 / 3)


def split(source: ImageSource, share: float, seed: int) -> tuple[Subset, Subset]:
    """Divide a source into a part to learn from and a part held back, which ``seed`` draws.

    Raises:
        ValueError: There are fewer than two pictures.
    """
    count = len(source)
    if count < 2:
        raise ValueError(f"{source.name!r} has {count} pictures, and none can be held back")
    held = min(max(round(count * share), 1), count - 1)
    chosen = sample(range(count), held, seed)
    return Subset(source, sorted({*range(count)} - {*chosen})), Subset(source, chosen)


class Augmented(Derived):
    """Every picture ``copies`` times over, each a random resized crop, flipped or not.

    Index i is picture i mod n; crop and flip are drawn from (seed, i).

    Args:
        source: Pictures of one size, which stays.
        seed: Draws crops and flips.
        copies: How many crops there are of a picture, at least 1.
        smallest: Least share of the area that a crop keeps, above 0 and up to 1.
    """

    def __init__(
        self, source: ImageSource, seed: int, copies: int = 1000, smallest: float = 0.4
    ) -> None:
        if copies < 1 or not 0 < smallest <= 1:
            raise ValueError(
                f"copies must be ≥ 1 and smallest in (0, 1]; got {copies} and {smallest}"
            )
        super().__init__(source, seed=seed, copies=copies, smallest=smallest)
        self._seed, self._copies, self._smallest = seed, copies, smallest

    def __len__(self) -> int:
        return len(self._source) * self._copies

    def __getitem__(self, i: int) -> Picture:
        index = range(len(self))[i]
        picture = self._source[index % len(self._source)]
        generator = np.random.default_rng((self._seed, index))
        return picture._replace(image=self._view(picture.image, generator), id=self.id(index))

    def id(self, i: int) -> str:
        copy, index = divmod(range(len(self))[i], len(self._source))
        return f"{self._source.id(index)}#{copy}"

    def _view(self, image: Tensor, generator: np.random.Generator) -> Tensor:
        # Pillow and numpy: a torch operation in a decoding thread would take processors from the
        # networks.
        top, left, height, width = crop_box(self.image_size, self._smallest, generator)
        whole = PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        cut = whole.resize(
            self.image_size[::-1], _BILINEAR, box=(left, top, left + width, top + height)
        )
        pixels = np.asarray(cut)[:, ::-1] if generator.random() < 0.5 else np.asarray(cut)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def crop_box(
    size: tuple[int, int], smallest: float, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels of a random crop of a picture of this size."""
    side = np.sqrt(generator.uniform(smallest, 1))
    stretch = np.exp(generator.uniform(*np.log(_RATIO)) / 2)
    height = min(size[0], max(1, round(size[0] * side * stretch)))
    width = min(size[1], max(1, round(size[1] * side / stretch)))
    top = int(generator.integers(size[0] - height + 1))
    return top, int(generator.integers(size[1] - width + 1)), height, width
