"""Tables of one row an image and policy: map entropies and single crops.

As an evaluation does, a scan keeps every finished batch and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from saccade_env import core
from saccade_env.card import card, describe_policy
from saccade_env.classifiers.crop import CropClassifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.store import Store
from saccade_env.geometry import Grid, index_to_row_col
from saccade_env.images import BrokenImageError, Picture, stack
from saccade_env.images.feeding import batches, check_workers
from saccade_env.paper.cast import Cast
from saccade_env.paper.experiments import Run
from saccade_env.paper.settings import PaperSettings

Table = Callable[[list[Picture]], pd.DataFrame]


def scan(
    run: Run,
    cast: Cast,
    settings: PaperSettings,
    out: Path,
    progressed: Callable[[int], object],
) -> pd.DataFrame:
    """Make the table of a run, or what is left of it.

    Args:
        run: ``"entropies"`` or ``"crops"``.
        cast: Who plays.
        settings: How images are read.
        out: Folder of the parts and, at the end, ``records.parquet``.
        progressed: Told how many images were just finished.

    Raises:
        BrokenImageError: An image cannot be read and ``on_error="raise"``, or none can.
        FileExistsError: ``out`` holds another run.
    """
    judge: Any = cast.cropper if run.kind == "crops" else cast.judge()
    policies = {name: cast.policy(name, run.grid) for name in run.policies}
    described = {name: describe_policy(policy) for name, policy in policies.items()}
    config = SaccadeConfig(run.grid, run.fovea, 1)
    is_what = {**card(config, judge, run.source), "kind": run.kind, "policies": described}
    table = _crops(policies, judge, run) if run.kind == "crops" else _entropies(policies)
    with Store(out, is_what, settings.overwrite) as store:
        return _scan(run, settings, store, table, progressed)


def _scan(
    run: Run,
    settings: PaperSettings,
    store: Store,
    table: Table,
    progressed: Callable[[int], object],
) -> pd.DataFrame:
    parts = store.read()
    done = {image for part in parts for image in part["image"].unique()}
    source, workers = run.source, check_workers(settings.workers)
    left = [i for i in range(len(source)) if source.id(i) not in done]
    for batch in batches(source, left, settings.batch_size, settings.on_error, workers):
        if batch.pictures:
            parts.append(table(batch.pictures))
            store.add(parts[-1])
        progressed(len(batch.pictures) + len(batch.broken))
    if not parts:
        raise BrokenImageError("not one image could be read")
    whole = _in_order(pd.concat(parts), [source.id(i) for i in range(len(source))], run.policies)
    store.finish(whole)
    return whole


def _entropies(policies: dict[str, Any]) -> Table:
    """Entropy in bits of every map (paper, figure 7)."""

    def table(pictures: list[Picture]) -> pd.DataFrame:
        pixels, _ = stack(pictures)
        ids = [picture.id for picture in pictures]
        frames = []
        for name, policy in policies.items():
            entropy = core.map_entropy(policy.maps(pixels)).cpu().numpy()
            frames.append(pd.DataFrame({"image": ids, "policy": name, "entropy": entropy}))
        return pd.concat(frames, ignore_index=True)

    return table


def _crops(policies: dict[str, Any], cnn: Any, run: Run) -> Table:
    """What the network says of the window around the first fixation (paper, figure 10)."""
    cropper = CropClassifier(cnn, crop_pixels=run.fovea * cnn.patch_size)
    share = cropper.share(run.source.image_size)

    def table(pictures: list[Picture]) -> pd.DataFrame:
        pixels, labels = stack(pictures)
        known = {"image": [picture.id for picture in pictures], "label": labels.numpy()}
        frames = []
        for name, policy in policies.items():
            place = first_fixation(policy, pixels, run.grid, cnn.num_classes)
            logits = core.check_logits(cropper.classify(pixels, place), cnn)
            prediction = logits.argmax(-1).cpu().numpy()
            right = prediction == known["label"]
            found = {"policy": name, "prediction": prediction, "correct": right, "share": share}
            frames.append(pd.DataFrame({**known, **found}))
        return pd.concat(frames, ignore_index=True)

    return table


def first_fixation(policy: Any, pixels: Any, grid: Grid, num_classes: int) -> Any:
    """(row, col) where a policy looks first, int [B, 2]."""
    batch, device = len(pixels), pixels.device
    nothing = torch.zeros(batch, *grid, dtype=torch.bool, device=device)
    policy.reset(pixels)
    view = core.View(
        revealed=nothing,
        inhibition=nothing,
        fixations=torch.full((batch, 1, 2), -1, device=device),
        saccades_done=torch.zeros(batch, dtype=torch.long, device=device),
        logits=torch.zeros(batch, num_classes, device=device),
        certainty=torch.zeros(batch, device=device),
    )
    return index_to_row_col(policy.act(view), grid)


def _in_order(table: pd.DataFrame, images: list[str], policies: tuple[str, ...]) -> pd.DataFrame:
    """Sorted as the source and the policies are, whatever order the parts were made in."""
    # A kill may leave an image in two files.
    table = table.drop_duplicates(["image", "policy"]).reset_index(drop=True)
    place = table["image"].map({image: place for place, image in enumerate(images)})
    rank = table["policy"].map({policy: rank for rank, policy in enumerate(policies)})
    order = pd.DataFrame({"place": place, "rank": rank}).sort_values(["place", "rank"]).index
    return table.loc[order].reset_index(drop=True)
