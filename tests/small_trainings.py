"""Trainings of a second: a bright patch to find, a classifier that sees it, and what they leave."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from saccade_env import geometry, policies
from saccade_env.agents import checkpoint
from saccade_env.agents.settings import Settings
from saccade_env.classifiers import Classifier
from saccade_env.classifiers.base import Weights
from saccade_env.config import SaccadeConfig
from saccade_env.images import Picture

GRID, PATCH, CLASSES = (6, 6), 8, 4
SMALL = {"network.channels": 16, "network.blocks": 1}
QUICK = {"n_steps": 4, "batch_size": 8, "n_epochs": 1, **SMALL}


class BrightPatches:
    """One token is red, green or blue on dim noise; its colour is the label."""

    name, image_size, labels, identity = "bright patches", (48, 48), "own", "bright"
    class_names = ("nothing", "red", "green", "blue")
    preprocess = None
    description: dict[str, str] = {}  # noqa: RUF012

    def __len__(self) -> int:
        return 96

    def __getitem__(self, i: int) -> Picture:
        generator = np.random.default_rng(i)
        image = generator.integers(0, 60, (3, *self.image_size)).astype(np.uint8)
        label, row, col = 1 + i % 3, *generator.integers(0, GRID[0], 2) * PATCH
        image[label - 1, row : row + PATCH, col : col + PATCH] = 255
        return Picture(torch.from_numpy(image), label, self.id(i))

    def id(self, i: int) -> str:
        return str(i)


class SeesBright(Classifier):
    """Names the colour of the bright token once it is revealed, and "nothing" before."""

    name, grid, patch_size, num_classes = "sees bright", GRID, PATCH, CLASSES
    weights = Weights("none", "-")

    def begin(self, images: Tensor) -> Tensor:
        patches = geometry.patchify(images.float() / 255, PATCH)
        return patches.reshape(*patches.shape[:2], 3, -1).mean(-1)

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        seen = (memory > 0.9) & revealed.flatten(1)[..., None]
        nothing = torch.full((len(memory), 1), 1.0)
        return torch.cat((nothing, 8 * seen.any(1).float()), 1), memory


def tiny(out: Path, **changes: Any) -> Settings:
    """A training; the task's own names may be among the changes."""
    given: dict[str, Any] = {
        "images": BrightPatches(), "classifier": SeesBright(), "periphery": 12, "n_envs": 4,
        "timesteps": 64, "eval_every": 16, "save_every": 16, "hyperparameters": QUICK,
        "workers": 0, "progress": False, "out": out, **changes,
    }  # fmt: skip
    task: dict[str, Any] = {"fovea": 1, "max_saccades": 3, "reward": "correct_certainty_gain"}
    names = [field.name for field in fields(SaccadeConfig) if field.name in given]
    task |= {name: given.pop(name) for name in names}
    return Settings(config=SaccadeConfig(**task), **given)


def make_policy(name: str) -> Any:
    return policies.create(name, grid=GRID)


def weights(out: Path) -> dict[str, Tensor]:
    return checkpoint.read(out / "checkpoint.pt")["parameters"]["policy"]


def assert_same_end(left: Path, right: Path) -> None:
    for key, value in weights(left).items():
        assert torch.equal(value, weights(right)[key]), key
    one, other = (checkpoint.read(out / "checkpoint.pt")["fields"] for out in (left, right))
    assert [i["r"] for i in one["ep_info_buffer"]] == [i["r"] for i in other["ep_info_buffer"]]
    pd.testing.assert_frame_equal(*(pd.read_csv(out / "evaluations.csv") for out in (left, right)))
