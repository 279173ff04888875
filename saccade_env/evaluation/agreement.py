"""How far a KV cache agrees with recomputing, on the scanpaths of an evaluation.

A cached classifier is another model (``classifiers/vit/kv_cache.py``), so an evaluation with one
also repeats the scanpaths of a sample of its images on one that recomputes: at most
:data:`CHECKED` images, spread over the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from saccade_env import core, geometry
from saccade_env.config import SaccadeConfig

CHECKED = 64
COLUMNS = ("recompute_prediction", "recompute_certainty")  # -1 and NaN where not checked


def sample(images: list[str]) -> set[str]:
    """The images to check: every n-th, the same ones whatever the batches."""
    return set(images[:: max(1, -(-len(images) // CHECKED))])


class Replay:
    """A policy that repeats scanpaths, whatever it sees.

    Args:
        scanpath: (row, col) of every fixation, -1 where the episode is over.
        config: The task.
    """

    name, sees_full_image = "replay", False

    def __init__(
        self, scanpath: Int[np.ndarray, "batch saccades 2"], config: SaccadeConfig
    ) -> None:
        flat = geometry.row_col_to_index(torch.from_numpy(scanpath).flatten(0, 1), config.grid)
        flat = flat.where(flat >= 0, config.num_tokens)
        self._fixations: Iterator[Tensor] = iter(flat.reshape(scanpath.shape[:2]).T)

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Nothing in the images changes what is repeated."""

    def act(self, view: core.View) -> Int[Tensor, " batch"]:
        """Token index of the next fixation, N where the episode is over."""
        return next(self._fixations)


def summarise(records: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By policy and saccade: share of equal predictions, and mean difference of certainty.

    Each policy has ``images`` (how many were checked), ``same_prediction`` (0 to 1) and
    ``certainty_difference`` (absolute), a value a saccade.
    """
    checked = records[records[COLUMNS[0]] >= 0]
    columns = checked[["policy", "saccade"]].assign(
        same_prediction=checked["prediction"] == checked[COLUMNS[0]],
        certainty_difference=(checked["certainty"] - checked[COLUMNS[1]]).abs(),
    )
    means = columns.groupby(["policy", "saccade"], sort=True).mean()
    return {
        policy: {
            "images": int(checked.loc[checked["policy"] == policy, "image"].nunique()),
            **{name: means.loc[policy][name].tolist() for name in means.columns},
        }
        for policy in dict.fromkeys(checked["policy"])
    }
