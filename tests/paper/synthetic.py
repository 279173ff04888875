"""Results made by hand, in which every statement of the paper holds; tests run this file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from saccade_env.paper.results import ATTENTION, CENTRE, CLASSICAL, DEEP, RANDOM, Results

ROLES = {
    ATTENTION: "focus-attention", DEEP: "focus-saliency", CLASSICAL: "gbvs", CENTRE: "centre",
    RANDOM: "random",
}  # fmt: skip
# An image is right at a saccade if its difficulty, 0 to 1, is less than this.
CURVES = {
    "focus-attention": [0.25, 0.50, 0.62, 0.68, 0.72, 0.76],
    "focus-saliency": [0.15, 0.30, 0.40, 0.45, 0.50, 0.55],
    "gbvs": [0.03, 0.20, 0.35, 0.42, 0.52, 0.66],
    "centre": [0.10, 0.20, 0.30, 0.35, 0.40, 0.45],
    "random": [0.02, 0.06, 0.12, 0.20, 0.28, 0.36],
}
PATHS = {
    "focus-attention": [(7, 7), (2, 2), (12, 3), (3, 12), (11, 11), (6, 2)],
    "focus-saliency": [(7, 8), (7, 6), (6, 7), (8, 8), (6, 6), (8, 7)],
    "gbvs": [(4, 4), (10, 10), (3, 11), (11, 2), (7, 12), (12, 7)],
    "centre": [(7, 7), (7, 5), (5, 7), (9, 7), (7, 9), (5, 5)],
    "random": [(0, 3), (9, 12), (4, 8), (13, 1), (6, 5), (2, 13)],
}
LAYERS = (-0.06, 0.06, 0.08, 0.30, 0.31, 0.32)  # above random, in accuracy
RESOLUTIONS = {96: -0.2, 128: -0.1, 160: -0.01, 224: 0.0}  # above attention
FULL = 0.7  # difficulty below which the full image is right
SHARE = {"random": 1.0, "focus-attention": 0.9}  # of the tokens that windows would reveal apart


def records_of(
    difficulty: np.ndarray, policy: str, curve: list[float], path: list[tuple[int, int]]
) -> pd.DataFrame:
    """A row an image and saccade; certainty jumps when an image is right, and is that in full."""
    images, saccades = len(difficulty), len(curve)
    right = difficulty[:, None] < np.array(curve)
    certainty = 0.2 + 0.02 * np.arange(saccades) + 0.3 * right + 0.2 * (1 - difficulty[:, None])
    names = np.array([f"image {i:03d}" for i in range(images)], dtype=object)
    in_full = difficulty < FULL
    spread = {
        "image": names, "label": np.full(images, 3),
        "full_prediction": np.where(in_full, 3, 4),
        "full_certainty": 0.3 + 0.3 * in_full + 0.2 * (1 - difficulty),
    }  # fmt: skip
    step = np.tile(np.arange(saccades), images)
    return pd.DataFrame(
        {key: np.repeat(value, saccades) for key, value in spread.items()}
        | {
            "policy": policy, "saccade": step + 1, "correct": right.ravel(),
            "prediction": np.where(right.ravel(), 3, 4), "certainty": certainty.ravel(),
            "row": np.array(path)[step, 0], "col": np.array(path)[step, 1],
            "visible_share": SHARE.get(policy, 0.8) * 9 * (step + 1) / 196,
        }
    )  # fmt: skip


def build(images: int = 120, paper_setting: bool = False, **changes: Any) -> Results:
    """Results of this many images; ``changes`` replace attributes."""
    difficulty = (np.random.default_rng(0).permutation(images) + 0.5) / images

    def many(curves: dict[str, list[float]]) -> pd.DataFrame:
        parts = [
            records_of(difficulty, name, curve, PATHS.get(name, PATHS["focus-attention"]))
            for name, curve in curves.items()
        ]
        return pd.concat(parts, ignore_index=True)

    main = many(CURVES).merge(_entropies(difficulty), how="left", on=["image", "policy"])
    layers = {
        f"focus-attention:layer={k}": [value + more for value in CURVES["random"]]
        for k, more in enumerate(LAYERS)
    }
    both = {
        f"focus-attention:layer={k},resolution={pixels}": [v + add + less for v in CURVES["random"]]
        for k, add in enumerate(LAYERS)
        for pixels, less in RESOLUTIONS.items()
    }
    small = {
        f"focus-attention:resolution={pixels}": [v + less for v in CURVES["focus-attention"]]
        for pixels, less in RESOLUTIONS.items()
    }
    records = {
        "fovea 3": main, "fovea 5": main, "layers": many(layers), "resolutions": many(small),
        "layers and resolutions": many(both), "unisal 288x384": main, "unisal 224x384": main,
        "crops": _crops(difficulty),
    }  # fmt: skip
    settings = {
        "layers": pd.DataFrame({"policy": list(layers), "layer": range(len(LAYERS))}),
        "resolutions": pd.DataFrame(
            {
                "policy": list(small),
                "resolution": list(RESOLUTIONS),
                "tokens": [pixels // 16 for pixels in RESOLUTIONS],
            }
        ),
        "layers and resolutions": pd.DataFrame(
            [(name, k, pixels) for name, (k, pixels) in zip(both, _pairs(), strict=True)],
            columns=["policy", "layer", "resolution"],
        ),
    }
    given: dict[str, Any] = {
        "roles": ROLES, "records": records, "settings": settings,
        "grids": {n: (18, 24) if n[:4] in ("unis", "crop") else (14, 14) for n in records},
        "run": {
            "classifier": {"name": "efficientnet_lite0"}, "paper_setting": paper_setting,
            "flops": flops(both),
        },
    }  # fmt: skip
    return Results(**(given | changes))


def _pairs() -> list[tuple[int, int]]:
    return [(k, pixels) for k in range(len(LAYERS)) for pixels in RESOLUTIONS]


def flops(policies: Iterable[str]) -> dict[str, Any]:
    """Each layer of a map costs as much, and each token of a classification."""
    maps = zip(policies, _pairs(), strict=True)
    cost = {name: 3 * 10**9 * (k + 1) * pixels**4 // 224**4 for name, (k, pixels) in maps}
    tokens = [1, *range(14, 197, 14)]
    return {"maps": cost, "tokens": tokens, "classifier": [24 * 10**9 * n // 196 for n in tokens]}


def _entropies(difficulty: np.ndarray) -> pd.DataFrame:
    noise = np.random.default_rng(1).normal(0, 0.05, (2, len(difficulty)))
    values = {"focus-attention": 5 + difficulty + noise[0], "random": 7 - difficulty / 5 + noise[1]}
    names = [f"image {i:03d}" for i in range(len(difficulty))]
    return pd.concat(
        [pd.DataFrame({"image": names, "policy": p, "map_entropy": v}) for p, v in values.items()],
        ignore_index=True,
    )


def _crops(difficulty: np.ndarray) -> pd.DataFrame:
    order = ("focus-attention", "focus-saliency", "centre", "gbvs", "random")
    names = [f"image {i:03d}" for i in range(len(difficulty))]
    parts = [
        pd.DataFrame(
            {
                "image": names, "label": 3, "policy": policy, "prediction": 3,
                "correct": difficulty < 0.5 - place / 10, "saccade": 1,
            }
        )
        for place, policy in enumerate(order)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)
