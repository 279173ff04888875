"""Saliency maps and scanpaths of policies beside the fixations of people."""

from saccade_env.evaluation.human.compare import compare
from saccade_env.evaluation.human.fixations import read_fixations
from saccade_env.evaluation.human.maps import MapComparison, compare_maps
from saccade_env.evaluation.human.scanpaths import ScanpathComparison, compare_scanpaths

__all__ = [
    "MapComparison",
    "ScanpathComparison",
    "compare",
    "compare_maps",
    "compare_scanpaths",
    "read_fixations",
]
