"""Training with Stable-Baselines3: :func:`train`, which ``saccade-env train`` calls.

A run is a folder: ``model.zip`` as it was last, ``best.zip`` as it was best on the held-back
pictures, ``checkpoint.pt`` (to go on from), ``card.json``, ``evaluations.csv``, after a warm start
``imitation.csv``, and TensorBoard's curves.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

from saccade_env.agents import checkpoint
from saccade_env.agents.callbacks import BetweenRollouts, check_finite
from saccade_env.agents.demonstrations import Demonstrations
from saccade_env.agents.files import EVALUATIONS, IMITATION
from saccade_env.agents.hyperparameters import algorithm, built, hyperparameters
from saccade_env.agents.imitate import imitate
from saccade_env.agents.parts import MakePolicy, Parts, open_parts, run_card
from saccade_env.agents.sb3_policies import policy_class
from saccade_env.agents.sb3_vec_env import SB3VecEnv
from saccade_env.agents.sb3_zip import BEST
from saccade_env.agents.settings import Settings
from saccade_env.files import remove_temporaries, replacing

DEMONSTRATIONS, HELD_BACK = "demonstrations", "held-back"
# What a training may have written when it was stopped before its first checkpoint.
_BEFORE_CHECKPOINT = {DEMONSTRATIONS, IMITATION, "tensorboard", EVALUATIONS, BEST}
# What demonstrations depend on, and what is observed in them.
_EARNED = ("reward", "saccade_cost")  # a teacher looks the same whatever is earned
_DEMONSTRATED = ("config", "classifier", "images", "warm_start", "augment", "seed", "n_envs",
                 "observation")  # fmt: skip


def train(settings: Settings, make_policy: MakePolicy | None = None, resume: bool = False) -> Path:
    """Train an agent.

    Args:
        settings: The run.
        make_policy: Builds a policy by name, for ``settings.prior`` and ``settings.warm_start``.
        resume: Go on from the checkpoint in ``settings.out``: to the same end as if the training
            had never stopped. The checkpoint is unpickled: resume only what you have begun.

    Returns:
        The folder of the run.

    Raises:
        FileExistsError: The folder is not empty, and the training is a new one.
        FileNotFoundError: There is nothing to resume.
        FloatingPointError: The training has diverged; what was saved before stays.
        ImportError: The algorithm's package is missing.
        KeyboardInterrupt: After Ctrl-C, with a checkpoint saved; in a warm start, with the
            demonstrations so far, from which the same call goes on.
        ValueError: A name or value is wrong, the resumed training had other settings, or its
            checkpoint is damaged.
    """
    chosen = hyperparameters(settings.algo, settings.hyperparameters, settings.hyperparameter_file)
    parts = open_parts(settings, make_policy)
    card = run_card(settings, parts, chosen)
    kept = None
    if resume:
        kept = checkpoint.read(settings.out / checkpoint.CHECKPOINT, card, settings.device)
    else:
        remove_temporaries(settings.out)
        _refuse_used(settings.out)
    run = _Run(settings, parts, chosen, card, kept)
    try:
        if settings.warm_start and kept is None:
            run.imitate(chosen["warm-start"])
        run.learn()
    except ValueError:  # PyTorch's, where weights became NaN in the middle of an update
        check_finite(run.model)
        raise
    return settings.out


class _Run:
    """Model and environment of a training, new or as a checkpoint left them."""

    def __init__(
        self, settings: Settings, parts: Parts, chosen: dict[str, Any], card: Any, kept: Any
    ) -> None:
        self.settings, self.parts, self.card, self.kept = settings, parts, card, kept
        self.masked = settings.algo == "maskable-ppo"
        if kept and "demonstrations" in kept["card"]:
            self.card = {**card, "demonstrations": kept["card"]["demonstrations"]}
        env = checkpoint.environment(kept, parts.shared) if kept else self._env()
        self.monitor = VecMonitor(SB3VecEnv(env))
        self.model = _model(settings, chosen, self.monitor, None if kept else settings.seed)
        self.model.seed = settings.seed
        self.curve = pd.DataFrame()

    def imitate(self, warm_start: dict[str, Any]) -> None:
        """Learn from a policy, on the pictures to learn from."""
        settings, learning = self.settings, dict(warm_start)
        common: Any = {"seed": settings.seed, "progress": settings.progress}
        asked, rounds = float(learning.pop("asked")), int(learning.pop("rounds"))
        about = {key: self.card[key] for key in _DEMONSTRATED} | {"asked": asked, "rounds": rounds}
        about["config"] = {k: v for k, v in about["config"].items() if k not in _EARNED}
        folder = settings.demonstrations or settings.out / DEMONSTRATIONS
        kept = Demonstrations(folder, about)
        self.card["demonstrations"] = kept.about
        explore = partial(_explore, self.model.policy, self.masked)
        env, teacher = self._env(), self.parts.teacher
        held_back, curves = self._shown_held_back(folder, about, explore, asked), []
        for number in range(1, rounds + 1):
            paths = kept.collect(
                env, teacher, settings.warm_start_steps * number // rounds, explore, asked,
                number == 1, **common, engine=settings.engine,
            )  # fmt: skip
            curves.append(imitate(self.model, paths, **learning, **common, masked=self.masked,
                                  held_back=held_back))  # fmt: skip
        env.close()
        self.curve = pd.concat(curves, keys=range(1, rounds + 1), names=["round", "epoch"])
        with replacing(settings.out / IMITATION) as part:
            self.curve.to_csv(part)

    def _shown_held_back(
        self, folder: Path, about: dict[str, Any], explore: Any, asked: float
    ) -> list[Path]:
        """Demonstrations on the pictures that are held back, each once or nearly."""
        settings, source = self.settings, self.parts.held_back
        about = about | {"images": {"count": len(source), "identity": source.identity}}
        steps = min(len(source) * self.parts.config.max_saccades, settings.warm_start_steps // 5)
        env = self.parts.env(settings.n_envs, settings.workers, source)
        return Demonstrations(folder / HELD_BACK, about).collect(
            env, self.parts.teacher, steps, explore, asked,
            seed=settings.seed, progress=settings.progress, engine=settings.engine,
        )  # fmt: skip

    def learn(self) -> None:
        """Train to the end."""
        settings, model, kept = self.settings, self.model, self.kept
        logger = configure(str(settings.out / "tensorboard"), ["tensorboard"])
        model.set_logger(logger)
        for number, values in enumerate(self.curve.to_dict("records")):
            for key, value in values.items():
                logger.record(f"warm_start/{key}", value)
            logger.dump(number)
        begun, lines = (kept["fields"]["num_timesteps"], kept["evaluations"]) if kept else (-1, [])
        between = BetweenRollouts(settings, self.parts, self.card, self.monitor, begun, lines)
        if kept:
            checkpoint.restore(kept, model, self.monitor)
        with between.saving_on_interrupt():
            model.learn(
                max(settings.timesteps - max(begun, 0), 0),
                callback=between,
                reset_num_timesteps=not kept,
                progress_bar=settings.progress,
            )
        self.monitor.close()

    def _env(self) -> Any:
        return self.parts.env(self.settings.n_envs, self.settings.workers)


def _explore(
    network: Any, masked: bool, observation: Any, state: Any, starts: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, Any]:
    more = {"action_masks": masks} if masked else {}
    found: tuple[np.ndarray, Any] = network.predict(
        observation, state, starts, deterministic=False, **more
    )
    return found


def _model(settings: Settings, chosen: dict[str, Any], env: Any, seed: int | None) -> Any:
    policy, keywords = policy_class(settings.algo)
    own = dict(chosen["algorithm"])
    more = own.pop("policy_kwargs", None) or {}
    try:
        return algorithm(settings.algo)(
            policy,
            env,
            policy_kwargs={**keywords, **more, "features_extractor_kwargs": chosen["network"]},
            seed=seed,
            device=settings.device,
            **built(own),
        )
    except (TypeError, AssertionError) as error:  # what only SB3 knows of how they go together
        raise ValueError(f"Stable-Baselines3 refuses the hyperparameters: {error}") from error


def _refuse_used(folder: Path) -> None:
    held = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if checkpoint.CHECKPOINT in held:
        how = "go on with that training by --resume"
    elif held - _BEFORE_CHECKPOINT:
        how = "nothing to resume: empty it"
    else:
        return
    raise FileExistsError(f"{folder} is not empty: {how}, or take another --out")
