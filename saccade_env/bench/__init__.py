"""``saccade-env bench``: how close the environment comes to the bare classifier.

Every line but those of the page, which are seconds, is a ratio of two times taken in turn in one
run, so that it means something on a noisy machine; ``value`` is the median over the repeats.
"""

from saccade_env.bench.environments import cost_per_saccade
from saccade_env.bench.lines import LINES, Line, as_json, measure
from saccade_env.bench.subjects import Plan

__all__ = ["LINES", "Line", "Plan", "as_json", "cost_per_saccade", "measure"]
