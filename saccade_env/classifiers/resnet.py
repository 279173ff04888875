"""ResNet-50 (torchvision, BSD-3-Clause): the paper's classifier of single crops."""

from __future__ import annotations

from typing import Any

import torch

from saccade_env.classifiers import weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.images.normalise import MEAN, STD


def load(device: str | torch.device = "cpu", **keywords: Any) -> CnnClassifier:
    """Load torchvision's ResNet-50 with its ImageNet weights.

    Args:
        device: Where it runs.
        **keywords: ``image_size``, ``patch_size``, ``autocast`` and ``compile``, see
            :class:`CnnClassifier`.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
    """
    from torchvision.models import resnet50

    state = weights.load("resnet50")
    network = resnet50()
    weights.check_keys(state, network.state_dict(), "ResNet-50")
    network.load_state_dict(state)
    mean, std = ((r * 255, g * 255, b * 255) for r, g, b in (MEAN, STD))
    return CnnClassifier(
        "resnet50", network, mean, std, weights.record("resnet50"), device, **keywords
    )
