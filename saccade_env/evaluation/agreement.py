"""How far a KV cache agrees with recomputing, on the scanpaths of an evaluation.

A cached classifier is another model (``classifiers/kv_cache.py``), so an evaluation with one also
recomputes a sample of its images: at most :data:`CHECKED`, spread over the run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saccade_env import core, geometry
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig

CHECKED = 64
COLUMNS = ("recompute_prediction", "recompute_certainty")  # -1 and NaN where not checked


def sample(images: list[str]) -> set[str]:
    """The images to check: every n-th, the same ones whatever the batches."""
    return set(images[:: max(1, -(-len(images) // CHECKED))])


def recompute(
    images: Tensor,
    scanpath: Int[np.ndarray, "batch saccades 2"],
    config: SaccadeConfig,
    classifier: Classifier,
) -> tuple[Int[np.ndarray, "batch saccades"], Float[np.ndarray, "batch saccades"]]:
    """Predictions and certainty of ``classifier`` along scanpaths.

    Args:
        images: uint8 [B, 3, H, W] on the classifier's device.
        scanpath: (row, col) of every fixation.
        config: The task.
        classifier: One that recomputes.
    """
    flat = torch.from_numpy(scanpath).flatten(0, 1).to(images.device)
    places = geometry.row_col_to_index(flat, config.grid).reshape(scanpath.shape[:2])
    windows = geometry.fovea_windows(config.grid, config.fovea, images.device)
    memory, revealed = classifier.begin(images), torch.zeros_like(windows[places[:, 0]])
    predictions, certainties = [], []
    for place in places.T:
        revealed = revealed | windows[place]
        logits = core.check_logits(classifier.classify(memory, revealed)[0], classifier)
        predictions.append(logits.argmax(-1))
        certainties.append(core.certainty(logits))
    return (
        torch.stack(predictions, 1).cpu().numpy(),
        torch.stack(certainties, 1).cpu().numpy(),
    )


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
