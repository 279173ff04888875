"""The paper's figures 3 to 7, 10, 11 and 17, a section of the report each."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from saccade_env.paper.figures import (
    accuracy,
    certainty,
    combined,
    crops,
    entropy,
    layers,
    scanpaths,
)
from saccade_env.paper.figures.parts import Drawn, Recipe, section
from saccade_env.paper.page import Section
from saccade_env.paper.results import Results

__all__ = ["RECIPES", "Drawn", "Recipe", "section", "sections"]

RECIPES = (
    Recipe(
        3, "accuracy per saccade",
        "Following attention, accuracy rises steeply and stays above that of random fixations, "
        "although attention, whose windows overlap more, reveals fewer tokens.",
        accuracy.per_saccade,
    ),
    Recipe(
        4, "how classifications change",
        "Counting an image as soon as it was right once, saccades beat the full image. Most "
        "changes come early.",
        accuracy.changes,
    ),
    Recipe(
        5, "certainty",
        "Under attention, certainty comes near the level of the full image; under random "
        "fixations it stays lower. It jumps when an image is first right, and images that are "
        "right early are the most certain.",
        certainty.certainty,
    ),
    Recipe(
        6, "maps of other layers and resolutions",
        "The map of layer 1 does worse than random fixations, that of layer 2 better, and after "
        "layer 3 accuracy rises sharply. A map of 10×10 tokens does nearly as well as one of "
        "14×14.",
        layers.one_by_one,
    ),
    Recipe(
        7, "entropy of the map",
        "The more even an attention map, the slightly later an image is first right; for random "
        "maps the relation is the opposite.",
        entropy.entropy,
    ),
    Recipe(
        10, "single crops, and other saliency maps",
        "On a single crop, DINO’s attention does best, then UNISAL, the centre, GBVS and random. "
        "Over saccades DINO is about 5 points above both saliency models throughout; GBVS starts "
        "low and overtakes by the sixth.",
        crops.single_crops,
    ),
    Recipe(
        11, "where policies look",
        "DINO and UNISAL start alike and diverge. UNISAL stays near where it began, DINO and GBVS "
        "explore.",
        scanpaths.where,
    ),
    Recipe(
        17, "layers and resolutions combined",
        "The paper varies the layer and the resolution of the map together; of this figure no "
        "statement is tested here.",
        combined.combined,
    ),
)  # fmt: skip


def sections(results: Results, folder: Path, only: Collection[int] | None = None) -> list[Section]:
    """Draw the figures into ``folder/figures`` and write their tables into ``folder/tables``.

    A figure whose experiment is missing becomes a section that says so.

    Args:
        results: Of the paper's experiments.
        folder: Of the report; created.
        only: Numbers of figures; None draws all.
    """
    return [
        section(recipe, results, folder)
        for recipe in RECIPES
        if only is None or recipe.number in only
    ]
