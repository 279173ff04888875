"""What the paper's experiments found: plain tables, from which figures and findings are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

# Parts that policies play in the paper; which policy plays each depends on the weights at hand.
ATTENTION, DEEP, CLASSICAL, RANDOM, CENTRE = (
    "attention", "deep saliency", "classical saliency", "random", "centre",
)  # fmt: skip

PAPERS = {ATTENTION: "dino", DEEP: "unisal", CLASSICAL: "gbvs", RANDOM: "random", CENTRE: "centre"}
FOVEA = 3  # tokens, of every experiment that names no other


@dataclass(frozen=True)
class Results:
    """Tables of all experiments that were run.

    Attributes:
        roles: Role → name of the policy in the records; a role that nothing plays is missing.
        records: Experiment → records (see :mod:`saccade_env.evaluation.records`), among them
            ``"fovea 3"``, ``"fovea 5"``, ``"layers"``, ``"resolutions"``,
            ``"layers and resolutions"``, ``"unisal 224x384"``, ``"unisal 288x384"``.
        settings: Experiment → one row a policy in its records: ``policy``, and of ``layer`` (from
            0), ``resolution`` (pixels of the map's input), ``tokens`` (of it, a side), ``fovea``
            what was varied.
        entropies: Map entropy in bits: ``image``, ``policy``, ``entropy``.
        crops: The single-crop experiment: ``image``, ``label``, ``policy``, ``prediction``,
            ``correct``, ``share`` (of the image's area, 0 to 1).
        grids: Experiment → token grid (rows, cols).
        run: Classifier, weights, images, versions, seed, command, and ``paper_setting``: whether
            the networks are the paper's own.
        figures: Numbers of the figures that were asked for; empty means all.
    """

    roles: dict[str, str]
    records: dict[str, pd.DataFrame]
    settings: dict[str, pd.DataFrame] = field(default_factory=dict)
    entropies: pd.DataFrame | None = None
    crops: pd.DataFrame | None = None
    grids: dict[str, tuple[int, int]] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    figures: tuple[int, ...] = ()
