"""What checks are done with: shipped pictures, and a classifier of a millisecond."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from saccade_env import geometry, images
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.config import UNLABELLED
from saccade_env.images import Preprocess, Spec

ROWS = 4  # pictures in a batch


class LinearClassifier(Classifier):
    """Logits are a fixed random linear function of the revealed tokens' mean colours.

    Fast, offline, and made for tests: it recognises nothing, but its answer depends on every token
    that is revealed and on nothing else.

    Args:
        image_size: (height, width) in pixels.
        patch_size: Side of a token in pixels.
        num_classes: Number of classes.
    """

    name = "linear"
    weights = Weights("random, seed 0", "-")

    def __init__(
        self, image_size: tuple[int, int] = (224, 224), patch_size: int = 16, num_classes: int = 7
    ) -> None:
        self.grid = geometry.grid_of(image_size, patch_size)
        self.patch_size, self.num_classes = patch_size, num_classes
        generator = torch.Generator().manual_seed(0)
        tokens = self.grid[0] * self.grid[1]
        self.matrix = torch.randn(tokens * 3, num_classes, generator=generator) / 4

    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens 3"]:
        patches = geometry.patchify(images.float() / 255, self.patch_size)
        return patches.reshape(*patches.shape[:2], 3, -1).mean(-1)

    def classify(
        self, memory: Float[Tensor, "batch tokens 3"], revealed: Bool[Tensor, "batch rows cols"]
    ) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        seen = memory * revealed.flatten(1)[..., None]
        return seen.flatten(1) @ self.matrix, memory


def linear_on(grid: tuple[int, int], patch_size: int = 16) -> LinearClassifier:
    """The fast classifier on a token grid, with as many classes as ImageNet."""
    size = (grid[0] * patch_size, grid[1] * patch_size)
    return LinearClassifier(size, patch_size, num_classes=1000)


def pictures(
    spec: Spec, classifier: Classifier
) -> tuple[UInt8[Tensor, "batch 3 height width"], Int[Tensor, " batch"]]:
    """The first pictures of a source and their labels, of the size that a classifier is made for.

    A ready source keeps its own size, which must be the same. Labels that are none of its classes
    are left out.

    Raises:
        ValueError: It is not, or the source has fewer than two pictures.
    """
    rows, cols = classifier.grid
    size = (rows * classifier.patch_size, cols * classifier.patch_size)
    source = images.create(spec, Preprocess(size))
    if source.image_size != size or len(source) < 2:
        raise ValueError(
            f"checks need two pictures or more of {size} pixels, {classifier.grid} tokens of "
            f"{classifier.patch_size}; got {len(source)} of {source.image_size}"
        )
    batch, labels = images.load_batch(source, range(min(ROWS, len(source))))
    return batch, torch.where(labels < classifier.num_classes, labels, UNLABELLED)


def with_others_hidden(
    pictures: Shaped[Tensor, "batch 3 height width"],
    revealed: Bool[Tensor, "batch rows cols"],
    patch_size: int,
) -> Shaped[Tensor, "batch 3 height width"]:
    """The same where revealed, and elsewhere what another picture of the batch shows."""
    seen = geometry.to_pixels(revealed, patch_size)[:, None]
    return torch.where(seen, pictures, pictures.roll(1, 0))


def random_path(count: int, classifier: Classifier) -> list[Bool[Tensor, "batch rows cols"]]:
    """What random saccades reveal, each row another place, over three saccades."""
    grid = (int(classifier.grid[0]), int(classifier.grid[1]))
    fovea = min(3, 2 * ((min(grid) + 1) // 2) - 1)
    windows = geometry.fovea_windows(grid, fovea, torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    fixations = torch.randint(len(windows), (3, count), generator=draw)
    revealed = [windows[fixations[0]]]
    for fixation in fixations[1:]:
        revealed.append(revealed[-1] | windows[fixation])
    return revealed
