"""What happens between two rollouts of a training: evaluations, checkpoints, Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image
from stable_baselines3.common.vec_env import VecMonitor
from tqdm.auto import tqdm

from saccade_env.agents import checkpoint, held_back
from saccade_env.agents.files import EVALUATIONS
from saccade_env.agents.parts import Parts
from saccade_env.agents.policy import AgentPolicy
from saccade_env.agents.sb3_policies import Sb3Network
from saccade_env.agents.sb3_zip import BEST, CARD, MODEL
from saccade_env.agents.settings import Settings
from saccade_env.card import plain
from saccade_env.files import replacing, write_json


class BetweenRollouts(BaseCallback):
    """Evaluates and saves when due, and once more at the end. It changes no random number.

    Before that it looks whether the network's weights are finite: if not, the training ends with a
    FloatingPointError, and what was saved before stays.

    Args:
        settings: How often, and where to.
        parts: The held-back pictures, and what the agent observes of them.
        card: Of the training.
        monitor: Around the environment that is trained in.
        begun: Timestep at which this training was resumed, -1 if it is a new one.
        lines: Results of evaluations before that.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        card: dict[str, Any],
        monitor: VecMonitor,
        begun: int,
        lines: list[dict[str, Any]],
    ) -> None:
        super().__init__()
        self._settings, self._parts, self._card, self._monitor = settings, parts, card, monitor
        self._lines, self._evaluated, self._asked = list(lines), begun, begun
        self.interrupted = False
        if lines:
            self._write_lines()

    def _on_rollout_start(self) -> None:
        # Here everything learnt from the last rollout is in the network, and no buffer is filled.
        check_finite(self.model)
        if self._due(self._settings.eval_every):
            self._evaluate()
        if self._due(self._settings.save_every) or self.interrupted:
            self._save()
        self._asked = self.model.num_timesteps
        if self.interrupted:
            raise KeyboardInterrupt

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        check_finite(self.model)
        if self.model.num_timesteps > self._evaluated:
            self._evaluate()
        self._save()

    def _due(self, every: int) -> bool:
        """Whether a multiple was reached since it was asked last; at 0 too, in a new training."""
        return self.model.num_timesteps // every > self._asked // every

    def _evaluate(self) -> None:
        """Look at the held-back pictures, and write the model if it is the best so far.

        The best has the highest mean accuracy, or reward where there are no labels.
        """
        parts, step = self._parts, self.model.num_timesteps
        agent = AgentPolicy(Sb3Network(self.model), parts.observing(), stops=True)
        with checkpoint.random_states_kept():
            result = held_back.evaluate(agent, parts.held_back, parts.config, parts.classifier)
        line = {"timesteps": step, **result.row()}
        if not any(_quality(before) >= _quality(line) for before in self._lines):
            self._write_model(BEST)
        self._evaluated = step
        self._lines.append(line)
        self._write_lines()
        for key, value in result.row().items():
            self.logger.record(f"eval/{key}", value)
        for number, value in enumerate(result.certainty, 1):
            self.logger.record(f"eval/certainty_at_{number:02d}", float(value))
        self.logger.record("eval/scanpath", Image(result.frame, "HWC"), exclude=("csv", "stdout"))
        self.logger.dump(step)

    def _save(self) -> None:
        out, lines = self._settings.out, self._lines
        steps, best = self.model.num_timesteps, max(lines, key=_quality, default={})
        results = {"steps": steps, "evaluation": lines[-1] if lines else {}, "best": best}
        write_json(out / CARD, plain({**self._card, **results}))
        self._write_model(MODEL)
        path, shared = out / checkpoint.CHECKPOINT, self._parts.shared
        checkpoint.save(path, self.model, self._monitor, shared, self._card, lines)

    def _write_model(self, name: str) -> None:
        with replacing(self._settings.out / name) as part:
            self.model.save(part, exclude=["_last_obs"])

    def _write_lines(self) -> None:
        with replacing(self._settings.out / EVALUATIONS) as part:
            pd.DataFrame(self._lines).to_csv(part, index=False)

    @contextmanager
    def saving_on_interrupt(self) -> Iterator[None]:
        """The first Ctrl-C lets the rollout end, to save a checkpoint then; the second does not."""
        if threading.current_thread() is not threading.main_thread():
            yield  # elsewhere Python takes no handler
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, *_: Any) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        tqdm.write("stopping after this rollout, to save; Ctrl-C again stops now", file=sys.stderr)


def check_finite(model: Any) -> None:
    """Let a model pass whose weights are finite.

    Raises:
        FloatingPointError: One is not.
    """
    for name, value in model.policy.state_dict().items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(
                f"the training has diverged: at timestep {model.num_timesteps} {name!r} holds NaN "
                "or infinity. It is not saved: the last good checkpoint, model.zip and best.zip, "
                "if any, stay. Try a lower learning_rate, in another folder"
            )


def _quality(line: dict[str, Any]) -> float:
    """Mean accuracy, or the reward where there are no labels."""
    return float(line["reward"] if np.isnan(line["accuracy"]) else line["accuracy"])
