"""The paper's figures: one record each, and in its module how it is drawn and what is claimed."""

from __future__ import annotations

from collections.abc import Collection

from saccade_env.paper.figures import (
    accuracy,
    certainty,
    crops,
    entropy,
    layers,
    pictures,
    scanpaths,
)
from saccade_env.paper.figures.parts import Output, Recipe
from saccade_env.paper.findings import Finding, judge
from saccade_env.paper.page import Section
from saccade_env.paper.results import Results

_MODULES = (accuracy, certainty, layers, entropy, pictures, crops, scanpaths)
RECIPES: dict[int, Recipe] = {
    recipe.number: recipe
    for recipe in sorted((r for module in _MODULES for r in module.RECIPES), key=lambda r: r.number)
}


def sections(results: Results, folder: Output) -> list[Section]:
    """Draw the figures asked for and write their tables, in the order of the paper.

    A figure whose experiment is missing becomes a section that says so.
    """
    return [recipe.section(results, folder) for recipe in _asked(results.figures)]


def findings(results: Results, only: Collection[int] = ()) -> list[Finding]:
    """Every statement of the paper with its effect here, in the order of the figures.

    The verdicts follow :data:`saccade_env.paper.findings.RULE`.

    Args:
        results: Of the paper's experiments.
        only: Numbers of the figures whose statements are tested; none tests all.
    """
    return [judge(claim, results, recipe.key) for recipe in _asked(only) for claim in recipe.claims]


def _asked(only: Collection[int]) -> list[Recipe]:
    return [recipe for number, recipe in RECIPES.items() if not only or number in only]
