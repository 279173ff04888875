"""Accuracy, certainty and visible share against saccade number (figure 3)."""

from __future__ import annotations

import pandas as pd

from saccade_env.evaluation.metrics.tables import policies_of


def per_saccade(records: pd.DataFrame) -> pd.DataFrame:
    """Means over the images, one row per policy and saccade, policies in order of appearance.

    Columns: ``accuracy`` (share of images right at this saccade), ``cumulative_accuracy`` (right
    at least once so far), ``certainty`` and ``visible_share``, all 0 to 1. Accuracies are NaN
    when no image has a label; unlabelled images do not count otherwise.
    """
    records = records.sort_values("saccade", kind="stable")
    correct = records["correct"].astype("float").where(records["label"] >= 0)
    so_far = correct.groupby([records["policy"], records["image"]], sort=False).cummax()
    columns = records[["policy", "saccade", "certainty", "visible_share"]].assign(
        accuracy=correct, cumulative_accuracy=so_far
    )
    means = columns.groupby(["policy", "saccade"], sort=False).mean()
    order = policies_of(records)
    means = means.sort_index(level="saccade", sort_remaining=False).loc[order]
    return means[["accuracy", "cumulative_accuracy", "certainty", "visible_share"]]


def full_image(records: pd.DataFrame) -> dict[str, float]:
    """Top-1 accuracy and mean certainty of the classifier on the whole images, 0 to 1."""
    images = records.drop_duplicates("image")
    labelled = images[images["label"] >= 0]
    return {
        "accuracy": float((labelled["full_prediction"] == labelled["label"]).mean()),
        "certainty": float(images["full_certainty"].mean()),
        "images": len(images),
        "labelled_images": len(labelled),
    }
