"""What tests of shards and of putting them together share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saccade_env import policies
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import Evaluation, Shard, evaluate

TASK = SaccadeConfig(max_saccades=3)


@pytest.fixture
def run(sample: Any, linear: Classifier) -> Any:
    """Evaluates seven pictures, two at a time."""
    fixed = [policies.create("random"), policies.create("centre")]

    def run(out: Path, shard: str = "0/1", source: Any = sample, **more: Any) -> Evaluation:
        keywords: dict[str, Any] = {"config": TASK, "batch_size": 2, "progress": False, **more}
        return evaluate(fixed, source, linear, out=out, shard=Shard.parse(shard), **keywords)

    return run
