"""An eye: a frozen classifier on a picture that an agent may see beside what it has revealed.

That is the whole image, or a foveated picture (:mod:`.activation`), sharp where tokens are revealed
and blurred elsewhere, so that nothing hidden enters beyond the periphery's resolution. What the eye
finds is shown as maps on the token grid: see :mod:`.sight`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Convolutional
from saccade_env.errors import unknown_name
from saccade_env.geometry import Grid
from saccade_env.observe.activation import blur, foveate
from saccade_env.observe.observers import Belief, Extra, Observer, Periphery, Saliency
from saccade_env.observe.sight import ACTIVATION, FEATURES, GLIMPSES, SHOWS, STRIDE, Sight, look

WHOLE: Literal["image"] = "image"
Sees = int | Literal["image"]  # side in pixels of the whole picture where nothing is revealed yet


class Eye(Extra):
    """Maps of what a classifier finds in the image or in the foveated picture.

    Args:
        classifier: A :class:`~saccade_env.classifiers.Convolutional` one.
        sees: ``"image"``, or the side in pixels of the whole picture where nothing is revealed: at
            least 1, and at most half of the image's side.
        shows: One or more of :data:`saccade_env.observe.sight.SHOWS`.

    Raises:
        TypeError: The classifier is of another kind.
        ValueError: A value is out of range, or glimpses are asked of an eye that does not see the
            image.
    """

    name = "eye"

    def __init__(
        self, classifier: Convolutional, sees: Sees = 64, shows: Sequence[str] = (ACTIVATION,)
    ) -> None:
        if not (isinstance(classifier, Convolutional) and hasattr(classifier, "class_weights")):
            raise TypeError(
                f"classifier {classifier.name!r} has no class activation map: an eye needs a "
                "convolutional one, such as 'efficientnet_lite0'"
            )
        for shown in shows:
            if shown not in SHOWS:
                raise unknown_name("eye_shows", str(shown), SHOWS)
        if not shows or len({*shows}) != len(shows):
            raise ValueError(f"an eye shows one or more of {', '.join(SHOWS)}; got {list(shows)}")
        self.classifier, self.sees, self.shows = classifier, check_sees(sees), tuple(shows)
        if GLIMPSES in shows and min(classifier.grid) < STRIDE:
            raise ValueError(f"glimpses need 2 rows and columns or more; got {classifier.grid}")
        if GLIMPSES in shows and sees != WHOLE:
            raise ValueError(f"glimpses are of the image: the eye must see it; it sees {sees}")
        rows, cols = classifier.grid
        channels = sum(map(self._channels, shows))
        self.box = spaces.Box(-np.inf, np.inf, (channels, rows, cols), np.float32)

    def _channels(self, shown: str) -> int:
        if shown != FEATURES:
            return {ACTIVATION: 11, GLIMPSES: 4}[shown]
        rows, cols = (side * self.classifier.patch_size for side in self.classifier.grid)
        nothing = torch.zeros(1, 3, rows, cols, dtype=torch.uint8)
        return look(self.classifier, nothing, (FEATURES,)).middle.shape[1]

    def __str__(self) -> str:
        return f"{self.classifier.name} on {self.sees}: {', '.join(self.shows)}"

    @property
    def description(self) -> dict[str, Any]:
        """What builds it, as plain data."""
        return {
            "classifier": self.classifier.name,
            "sees": self.sees,
            "shows": list(self.shows),
        }

    def fixed(self, images: Tensor) -> Any:
        """What the image gives once; or the sharp picture and the blurred one."""
        if self.sees != WHOLE:
            side = min(images.shape[2:])
            if 2 * int(self.sees) > side:
                raise ValueError(f"an eye that does not see the image has at most {side // 2} "
                                 f"pixels a side; got {self.sees}")  # fmt: skip
            return images, blur(images, int(self.sees))
        return look(self.classifier, images, self.shows)

    def now(self, view: core.View, fixed: Any) -> Float[np.ndarray, "batch maps rows cols"]:
        """The maps, in the order of ``shows``.

        Raises:
            ValueError: The episodes are judged in another number of classes.
        """
        if view.logits.shape[1] != self.classifier.num_classes:
            raise ValueError(
                f"the eye of {self.classifier.name!r} knows {self.classifier.num_classes} classes, "
                f"the episodes have {view.logits.shape[1]}"
            )
        sight: Sight = fixed
        if self.sees != WHOLE:
            sharp, blurred = fixed
            revealed = view.revealed.to(sharp.device)
            picture = foveate(sharp, blurred, revealed, self.classifier.patch_size)
            sight = look(self.classifier, picture, self.shows)
        maps = [SHOWS[shown](self.classifier, sight, view) for shown in self.shows]
        return torch.cat(maps, 1).float().cpu().numpy()


def check_sees(sees: Any) -> Any:
    """Let pass what an eye can see.

    Raises:
        ValueError: It is neither ``"image"`` nor a whole number of pixels, at least 1.
    """
    if sees != WHOLE and (type(sees) is not int or sees < 1):
        raise ValueError(
            f"an eye sees {WHOLE!r} or a picture of a whole number of pixels ≥ 1; got {sees!r}"
        )
    return sees


def extras(
    grid: Grid, periphery: int = 0, prior: Any = None, belief: int = 0, eye: Eye | None = None
) -> list[Observer]:
    """The one list of what may stand beside the default observation, in this order.

    Args:
        grid: Token grid (rows, cols).
        periphery: Side in pixels of the small whole picture; 0 means none.
        prior: Whose saliency map is shown (:class:`saccade_env.core.HasMaps`); None means none.
        belief: Number of class probabilities shown; 0 means none.
        eye: What an eye finds; None means none.
    """
    return [
        *([Periphery(periphery)] if periphery else []),
        *([Saliency(prior, grid)] if prior is not None else []),
        *([Belief(belief)] if belief else []),
        *([eye] if eye is not None else []),
    ]
