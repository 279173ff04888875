"""Pure functions of records: one row per image, policy and saccade (counted from 1).

Positions are (row, col) in tokens. A mean over images comes with the bounds of its 95 % bootstrap
interval: ``low`` and ``high`` in a table of one mean, ``…_low`` and ``…_high`` in one of several.
"""

from saccade_env.evaluation.metrics.by_first_correct import (
    certainty_by_first_correct,
    certainty_where_full_right,
    entropy_by_first_correct,
    entropy_relation,
)
from saccade_env.evaluation.metrics.correct import (
    correct_counts,
    first_correct,
    full_image,
    per_saccade,
    transitions,
)
from saccade_env.evaluation.metrics.early_stop import RULES, THRESHOLDS, check_rule, stopping_curve
from saccade_env.evaluation.metrics.gaze import (
    distance_from_first,
    fixation_agreement,
    unique_area,
)
from saccade_env.evaluation.metrics.intervals import (
    Interval,
    bootstrap,
    bootstrap_columns,
    interval,
)
from saccade_env.evaluation.metrics.tables import augc, correctness

__all__ = [
    "RULES",
    "THRESHOLDS",
    "Interval",
    "augc",
    "bootstrap",
    "bootstrap_columns",
    "certainty_by_first_correct",
    "certainty_where_full_right",
    "check_rule",
    "correct_counts",
    "correctness",
    "distance_from_first",
    "entropy_by_first_correct",
    "entropy_relation",
    "first_correct",
    "fixation_agreement",
    "full_image",
    "interval",
    "per_saccade",
    "stopping_curve",
    "transitions",
    "unique_area",
]
