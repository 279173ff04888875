"""Evaluation of policies: rollouts to records, records to metrics, figures and a report."""

from saccade_env.evaluation.rollout import Rollout, rollout
from saccade_env.evaluation.run import Evaluation, evaluate

__all__ = ["Evaluation", "Rollout", "evaluate", "rollout"]
