"""Saliency maps and scanpaths of policies beside the fixations of people."""

from saccade_env.evaluation.human.compare import (
    Comparison,
    compare,
    compare_maps,
    compare_scanpaths,
)
from saccade_env.evaluation.human.fixations import read_fixations

__all__ = ["Comparison", "compare", "compare_maps", "compare_scanpaths", "read_fixations"]
