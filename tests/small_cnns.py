"""Convolutional classifiers of a millisecond: one convolution, a mean, a linear layer."""

from __future__ import annotations

import torch
from torch import nn

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.cnn import CnnClassifier


class Network(nn.Module):
    """One convolution with the stride of a token, a mean, and a linear layer."""

    def __init__(self, classes: int, kernel: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 16, kernel, 16, (kernel - 16) // 2), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(16, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.pool(self.trunk(images)))
        return found


def small_cnn(
    image_size: tuple[int, int] = (224, 224), classes: int = 7, kernel: int = 32
) -> CnnClassifier:
    """With 32 it looks a little beyond each token; with 16 what tokens add just adds up."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(classes, kernel)
        nn.init.normal_(network.fc.weight, std=8.0)  # beliefs that differ
    grey, one = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return CnnClassifier(
        "small", network, grey, one, Weights("random", "-"),
        onnx=False, image_size=image_size, num_classes=classes,
    )  # fmt: skip
