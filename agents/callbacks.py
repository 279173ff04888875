"""What happens between two rollouts of a training: evaluations, checkpoints, Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image
from tqdm.auto import tqdm

from saccade_env.agents.checkpoint import random_states_kept
from saccade_env.agents.held_back import Result
from saccade_env.files import replacing

EVALUATIONS = "evaluations.csv"


class Every:
    """Whether a multiple of a number of timesteps was reached since it was asked last."""

    def __init__(self, timesteps: int, last: int) -> None:
        self._timesteps, self._last = timesteps, last

    def due(self, step: int) -> bool:
        """Ask at a timestep; with ``last = -1`` it is due at 0 too."""
        passed = step // self._timesteps > self._last // self._timesteps
        self._last = step
        return passed


class BetweenRollouts(BaseCallback):
    """Evaluates and saves when due, and once more at the end. It changes no random number.

    Before that it looks whether the network's weights are finite: if not, the training ends with a
    FloatingPointError, and what was saved before stays.

    Args:
        evaluate: Gives a result on held-back pictures.
        save: Writes a checkpoint.
        table: Where results are kept.
        eval_every: Timesteps between evaluations.
        save_every: Timesteps between checkpoints.
        begun: Timestep at which this training was resumed, -1 if it is a new one.
    """

    def __init__(
        self,
        evaluate: Callable[[], Result],
        save: Callable[[], None],
        table: Table,
        eval_every: int,
        save_every: int,
        begun: int = -1,
    ) -> None:
        super().__init__()
        self._evaluate, self._save, self._table = evaluate, save, table
        self._evaluations, self._saves = Every(eval_every, begun), Every(save_every, begun)
        self._evaluated = begun
        self.interrupted = False

    def _on_rollout_start(self) -> None:
        # Here everything learnt from the last rollout is in the network, and no buffer is filled.
        step = self._finite_step()
        if self._evaluations.due(step):
            self._log(step)
        if self._saves.due(step) or self.interrupted:
            self._save()
        if self.interrupted:
            raise KeyboardInterrupt

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        step = self._finite_step()
        if step > self._evaluated:
            self._log(step)
        self._save()

    def _finite_step(self) -> int:
        check_finite(self.model)
        return self.model.num_timesteps

    def _log(self, step: int) -> None:
        with random_states_kept():
            result = self._evaluate()
        self._evaluated = step
        self._table.add({"timesteps": step, **result.row()})
        for key, value in result.row().items():
            self.logger.record(f"eval/{key}", value)
        for number, value in enumerate(result.certainty, 1):
            self.logger.record(f"eval/certainty_at_{number:02d}", float(value))
        self.logger.record("eval/scanpath", Image(result.frame, "HWC"), exclude=("csv", "stdout"))
        self.logger.dump(step)


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


class Table:
    """Results of evaluations in a file, a line each.

    Args:
        path: A CSV file, which is written anew.
        lines: Results so far, as the checkpoint has them.
    """

    def __init__(self, path: Path, lines: list[dict[str, Any]]) -> None:
        self.path, self.lines = path, list(lines)
        if lines:
            self._write()

    def add(self, line: dict[str, Any]) -> None:
        """Add a line and write the file."""
        self.lines.append(line)
        self._write()

    def _write(self) -> None:
        with replacing(self.path) as part:
            pd.DataFrame(self.lines).to_csv(part, index=False)


class SaveOnInterrupt:
    """The first Ctrl-C lets the rollout end, to save a checkpoint then; the second does not.

    Args:
        callback: Told that it shall save and stop.
    """

    def __init__(self, callback: BetweenRollouts) -> None:
        self._callback = callback

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:  # elsewhere Python takes no handler
            self._before = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *_: Any) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: Any) -> None:
        if self._callback.interrupted:
            raise KeyboardInterrupt
        self._callback.interrupted = True
        tqdm.write("stopping after this rollout, to save; Ctrl-C again stops now", file=sys.stderr)
