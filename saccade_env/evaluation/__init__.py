"""Evaluation of policies: rollouts to records, records to metrics, figures and a report."""

from saccade_env.evaluation.merge import merge
from saccade_env.evaluation.metrics import Interval, bootstrap, stopping_curve
from saccade_env.evaluation.plan import Evaluation
from saccade_env.evaluation.rollout import Rollout, rollout
from saccade_env.evaluation.run import evaluate
from saccade_env.evaluation.shards import Shard

__all__ = [
    "Evaluation",
    "Interval",
    "Rollout",
    "Shard",
    "bootstrap",
    "evaluate",
    "merge",
    "rollout",
    "stopping_curve",
]
