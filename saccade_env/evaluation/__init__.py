"""Evaluation of policies: rollouts to records, records to metrics, figures and a report."""

from saccade_env.evaluation.metrics import Interval, bootstrap, stopping_curve
from saccade_env.evaluation.rollout import Rollout, rollout
from saccade_env.evaluation.run import Evaluation, evaluate

__all__ = [
    "Evaluation",
    "Interval",
    "Rollout",
    "bootstrap",
    "evaluate",
    "rollout",
    "stopping_curve",
]
