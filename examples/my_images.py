"""Bring your own images: a folder with or without class folders, or a source of your own.

python examples/my_images.py [FOLDER]
"""

import hashlib
import sys

import torch

from saccade_env import SaccadeEnv, images


class Noise:
    """A source needs a length, pictures by index, and to say what it is."""

    name = "noise"
    image_size = (224, 224)
    labels = "none"
    identity = hashlib.sha256(b"noise seeded by index").hexdigest()
    preprocess = None
    description: dict[str, str] = {}  # noqa: RUF012
    class_names: list[str] = []  # noqa: RUF012

    def __len__(self) -> int:
        """Number of pictures."""
        return 100

    def __getitem__(self, index: int) -> images.Picture:
        """Picture ``index``, uint8 [3, H, W]."""
        place = range(100)[index]  # there is no picture 100: an IndexError
        generator = torch.Generator().manual_seed(place)
        pixels = torch.randint(0, 256, (3, 224, 224), generator=generator, dtype=torch.uint8)
        return images.Picture(pixels, None, self.id(index))

    def id(self, index: int) -> str:
        """What records call the picture."""
        return f"noise-{range(100)[index]}"


def main(folder: str | None = None) -> None:
    for source in (images.create(folder or "sample"), Noise()):
        env = SaccadeEnv(source, classifier="efficientnet_lite0")
        _, info = env.reset(seed=0)
        *_, info = env.step(6 * 14 + 6)
        print(
            f"{source.name}: {len(source)} pictures, labels: {source.labels}; "
            f"one look at the centre: class {info['prediction']}, certainty {info['certainty']:.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
