"""The paper's figures and one more: a record each, and in its module how it is drawn and claimed.

Figures 3 and 4 are in ``accuracy``, 5 and 7 in ``certainty``, 6 and 17 in ``layers``, 10 and 11 in
``saliency``, and 8, 9, 12 and 13 in ``pictures``. Number 18, in ``one_pass``, is this project's.
"""

from collections.abc import Collection

from saccade_env.paper.figures import accuracy, certainty, layers, one_pass, pictures, saliency
from saccade_env.paper.figures.recipe import Output, Recipe

__all__ = ["RECIPES", "Output", "Recipe", "asked", "pictures"]

_MODULES = (accuracy, certainty, layers, one_pass, pictures, saliency)
RECIPES: dict[int, Recipe] = {
    recipe.number: recipe
    for recipe in sorted((r for module in _MODULES for r in module.RECIPES), key=lambda r: r.number)
}


def asked(only: Collection[int] = ()) -> list[Recipe]:
    """The figures of these numbers, or all, in the order of the paper."""
    return [recipe for number, recipe in RECIPES.items() if not only or number in only]
