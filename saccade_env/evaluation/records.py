"""Records: one row per image, policy and saccade; everything else is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import agreement
from saccade_env.evaluation.rollout import Rollout, rollout
from saccade_env.images import BrokenImageError, Picture, stack


def records_of(
    pictures: list[Picture],
    policies: dict[str, core.Policy],
    config: SaccadeConfig,
    classifier: Classifier,
    device: torch.device,
    progressed: Callable[[int], object],
    checked: Set[str] = frozenset(),
) -> pd.DataFrame:
    """Every policy on one batch; the images are taken in and seen in full once.

    The ``checked`` images are recomputed by a classifier with a KV cache.
    """
    images, labels = (tensor.to(device) for tensor in stack(pictures))
    memory = classifier.begin(images)
    everything = torch.ones(len(images), *config.grid, dtype=torch.bool, device=device)
    whole: Any = getattr(classifier, "recomputing", classifier)  # a cache would only be thrown away
    full_memory = memory if whole is classifier else whole.begin(images)
    logits = core.check_logits(whole.classify(full_memory, everything)[0], classifier)
    blank = core.blank_logits(memory, ~everything, classifier)
    rows = [row for row, picture in enumerate(pictures) if picture.id in checked]
    frames = []
    for name, policy in policies.items():
        result = rollout(images, labels, policy, config, classifier, memory, blank)
        frame = _frame(name, pictures, labels, logits, result)
        if checked:
            frame = frame.assign(**_recomputed(images, rows, result, config, classifier))
        frames.append(frame)
        progressed(len(pictures))
    return pd.concat(frames, ignore_index=True)


def _frame(
    name: str, pictures: list[Picture], labels: Tensor, full_logits: Tensor, result: Rollout
) -> pd.DataFrame:
    batch, saccades = result.prediction.shape
    spread = {
        "image": np.array([picture.id for picture in pictures], dtype=object),
        "label": labels.cpu().numpy(),
        "full_prediction": full_logits.argmax(-1).cpu().numpy(),
        "full_certainty": core.certainty(full_logits).cpu().numpy(),
    }
    return pd.DataFrame(
        {
            "image": np.repeat(spread["image"], saccades),
            "label": np.repeat(spread["label"], saccades),
            "policy": name,
            "saccade": np.tile(np.arange(1, saccades + 1), batch),
            "row": result.scanpath[..., 0].ravel(),
            "col": result.scanpath[..., 1].ravel(),
            "prediction": result.prediction.ravel(),
            "correct": result.correct.ravel(),
            "certainty": result.certainty.ravel(),
            "visible_share": result.visible_share.ravel(),
            "true_class_probability": result.true_class_probability.ravel(),
            "full_prediction": np.repeat(spread["full_prediction"], saccades),
            "full_certainty": np.repeat(spread["full_certainty"], saccades),
        }
    )


def _recomputed(
    images: Tensor, rows: list[int], result: Rollout, config: SaccadeConfig, classifier: Any
) -> dict[str, np.ndarray]:
    predictions, certainty = np.full(result.prediction.shape, -1), result.certainty * np.nan
    if rows:
        predictions[rows], certainty[rows] = agreement.recompute(
            images[rows], result.scanpath[rows], config, classifier.recomputing
        )
    return dict(zip(agreement.COLUMNS, (predictions.ravel(), certainty.ravel()), strict=True))


def join(parts: list[pd.DataFrame], images: list[str], policies: list[str]) -> pd.DataFrame:
    """All records in the source's order, whatever order they were made in."""
    if not parts:
        raise BrokenImageError("not one image could be read")
    records = pd.concat(parts, ignore_index=True)
    place = records["image"].map({image: place for place, image in enumerate(images)})
    rank = records["policy"].map({policy: rank for rank, policy in enumerate(policies)})
    order = np.lexsort((records["saccade"], rank, place))
    return records.iloc[order].reset_index(drop=True)
