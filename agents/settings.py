"""What a training run is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

from saccade_env.agents.files import LARGEST_PERIPHERY
from saccade_env.classifiers import AUTO
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.work import Engine, here
from saccade_env.observe.sight import ACTIVATION

LARGEST_SEED = 2**32 - 1  # NumPy's and Stable-Baselines3's
# Certainty alone can be gamed by being surely wrong: it counts only while the prediction is right.
TASK = SaccadeConfig(reward="correct_certainty_gain")


@dataclass(frozen=True)
class Settings:
    """A training run; the command line's options are its fields.

    Attributes:
        out: Folder of everything that is written.
        algo: One of :data:`saccade_env.agents.hyperparameters.ALGORITHMS`.
        images: To learn from, see :func:`saccade_env.images.create`.
        classifier: See :func:`saccade_env.classifiers.create`.
        timesteps: Saccades of reinforcement, over all rows; with 0 there is a warm start at most.
        n_envs: Episodes side by side.
        config: The task: fovea, saccades an episode, reward, whether the agent may stop. Its grid
            is replaced by the classifier's.
        periphery: Side in pixels of the small picture observed beside what is revealed; 0: none.
        prior: Name of the policy whose saliency map is observed too, or ``"none"``.
        belief: Observe what the classifier believes so far.
        eye: Observe what the classifier finds in a picture: in the whole image (``"image"``), in
            one that is sharp where tokens are revealed, with so many pixels a side elsewhere, or
            ``"none"``. See :mod:`saccade_env.observe.eye`.
        eye_shows: What it finds: some of :data:`saccade_env.observe.sight.SHOWS`.
        eye_classifier: Name of another classifier that looks, None for the same.
        eval_images: Held-back pictures; by default a share of ``images`` is held back.
        eval_share: That share, above 0 and below 1.
        eval_every: Timesteps between evaluations on these.
        save_every: Timesteps between checkpoints.
        warm_start: Name of a policy to learn from before the training, or None.
        warm_start_steps: Saccades of its demonstrations.
        demonstrations: Folder of these, by default in ``out``. Trainings that observe the same or
            less may share one.
        augment: Crop and flip the pictures learnt from.
        hyperparameters: Override those of the files: ``gamma``, ``network.channels``,
            ``warm-start.n_epochs``, …
        hyperparameter_file: A YAML file of the user's that overrides ``hyperparameters.yml``.
        seed: Of everything: held-back pictures, network, episodes, exploration.
        device: Torch device of network and classifier.
        workers: Threads that decode; it changes no result.
        progress: Show a progress bar.
        engine: Does the demonstrations, here or elsewhere; see :mod:`saccade_env.scale`.
    """

    out: Path
    algo: str = "maskable-ppo"
    images: Any = None
    classifier: Any = AUTO
    timesteps: int = 100_000
    n_envs: int = 8
    config: SaccadeConfig = TASK
    periphery: int = 32
    prior: str = "none"
    belief: bool = False
    eye: str | int = "none"
    eye_shows: tuple[str, ...] = (ACTIVATION,)
    eye_classifier: str | None = None
    eval_images: Any = None
    eval_share: float = 0.1
    eval_every: int = 10_000
    save_every: int = 10_000
    warm_start: str | None = None
    warm_start_steps: int = 10_000
    demonstrations: Path | None = None
    augment: bool = False
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    hyperparameter_file: Path | None = None
    seed: int = 0
    device: str = "cpu"
    workers: int | None = None
    progress: bool = True
    engine: Engine = here

    def __post_init__(self) -> None:
        for name in ("n_envs", "eval_every", "save_every", "warm_start_steps", "timesteps"):
            value, least = vars(self)[name], int(name != "timesteps")
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be a whole number ≥ {least}; got {value}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must be ≥ 0 and ≤ {LARGEST_SEED}; got {self.seed}")
        if self.config.action != "token":
            raise ValueError(f"agents need action='token'; got {self.config.action!r}")
        if not 0 <= self.periphery <= LARGEST_PERIPHERY:
            raise ValueError(
                f"periphery must be ≥ 0 and ≤ {LARGEST_PERIPHERY} pixels; got {self.periphery}"
            )
        if self.eye_classifier and self.eye == "none":
            raise ValueError("eye_classifier is whose eye it is: say what the eye sees")
        if self.demonstrations and not self.warm_start:
            raise ValueError("demonstrations are of a warm start: say which policy is imitated")
        if not 0 < self.eval_share < 1:
            raise ValueError(f"eval_share must be above 0 and below 1; got {self.eval_share}")
