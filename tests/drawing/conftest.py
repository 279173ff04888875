"""Two policies on a picture of the sample, one of which stops early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saccade_env import core
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.scanpaths import Run
from saccade_env.evaluation.rollout import follow

CONFIG = SaccadeConfig(grid=(14, 14), fovea=5, max_saccades=6, stop_action=True)
NAMES = ["cup, beaker", "espresso", "</script><b>x", 'it\'s "so" & so', "a\u2028b", "f", "g"]
PATHS = {"corners": [0, 13, 0, 195, 182, 105], "shy": [90, 91, 196, 5, 5, 5]}  # 196 stops


class Scripted:
    """Looks where it was told to; the second row in the opposite order of tokens."""

    sees_full_image = False

    def __init__(self, name: str) -> None:
        self.name = name

    def reset(self, images: Tensor) -> None:
        pass

    def act(self, view: core.View) -> Tensor:
        path = torch.tensor(PATHS[self.name])[view.saccades_done.clamp(max=5)]
        return torch.where((torch.arange(len(path)) == 0) | (path == 196), path, 195 - path)


@pytest.fixture(scope="session")
def runs(sample: Any, make_linear: Any) -> list[Run]:
    images = torch.from_numpy(np.stack([np.asarray(sample[i].image) for i in (4, 5)]))
    judge, labels = make_linear(), torch.tensor([1, core.UNLABELLED])
    maps = {"corners": torch.linspace(-1, 3, 196).reshape(14, 14), "shy": None}
    return [
        Run(name, follow(images, labels, Scripted(name), CONFIG, judge), "no", maps[name])
        for name in PATHS
    ]
