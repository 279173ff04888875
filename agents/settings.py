"""What a training run is made of: :class:`Settings`, and the hyperparameters of algorithms.

Hyperparameters are in ``hyperparameters.yml`` in RL Zoo's style; a file and single values of the
user's go over them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from saccade_env.classifiers import AUTO
from saccade_env.registry import unknown_name

ALGORITHMS = {
    "ppo": "stable_baselines3:PPO",
    "maskable-ppo": "sb3_contrib:MaskablePPO",
    "dqn": "stable_baselines3:DQN",
    "recurrent-ppo": "sb3_contrib:RecurrentPPO",
}
_SHARED = ("network", "warm-start")  # sections that all algorithms share
_OWN = (
    "policy",
    "env",
    "seed",
    "device",
    "tensorboard_log",
    "verbose",
    "_init_setup_model",
)  # set by us


@dataclass(frozen=True)
class Settings:
    """A training run; the command line's options are its fields.

    Attributes:
        out: Folder of everything that is written.
        algo: One of ``ALGORITHMS``.
        images: To learn from, see :func:`saccade_env.images.create`.
        classifier: See :func:`saccade_env.classifiers.create`.
        timesteps: Saccades to train for, over all rows.
        n_envs: Episodes side by side.
        reward: See :func:`saccade_env.core.reward`.
        fovea: Side of the fovea in tokens, odd.
        saccades: Saccades an episode.
        saccade_cost: Subtracted from the reward for every saccade.
        stop_action: The agent may end an episode.
        periphery: Side in pixels of the small picture observed beside what is revealed; 0: none.
        prior: Name of the policy whose saliency map is observed too, or ``"none"``.
        belief: Observe what the classifier believes so far.
        activation: Observe where the classifier sees what it believes, in what is revealed and the
            periphery: see :mod:`saccade_env.activation`.
        eval_images: Held-back pictures; by default a share of ``images`` is held back.
        eval_share: That share, above 0 and below 1.
        eval_every: Timesteps between evaluations on these.
        save_every: Timesteps between checkpoints.
        warm_start: Name of a policy to imitate before the training, or None.
        warm_start_steps: Saccades of its demonstrations.
        demonstrations: Folder of these, by default in ``out``. Trainings that observe the same or
            less may share one.
        augment: Crop and flip the pictures learnt from.
        hyperparameters: Override those of the files: ``gamma``, ``network.channels``,
            ``warm-start.n_epochs``, …
        config: A file of the user's that overrides ``hyperparameters.yml``.
        seed: Of everything: held-back pictures, network, episodes, exploration.
        device: Torch device of network and classifier.
        workers: Threads that decode; it changes no result.
        progress: Show a progress bar.
    """

    out: Path
    algo: str = "maskable-ppo"
    images: Any = None
    classifier: Any = AUTO
    timesteps: int = 100_000
    n_envs: int = 8
    reward: str = "correct_certainty_gain"
    fovea: int = 3
    saccades: int = 10
    saccade_cost: float = 0.0
    stop_action: bool = False
    periphery: int = 32
    prior: str = "none"
    belief: bool = False
    activation: bool = False
    eval_images: Any = None
    eval_share: float = 0.1
    eval_every: int = 10_000
    save_every: int = 10_000
    warm_start: str | None = None
    warm_start_steps: int = 10_000
    demonstrations: Path | None = None
    augment: bool = False
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    config: Path | None = None
    seed: int = 0
    device: str = "cpu"
    workers: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("timesteps", "n_envs", "eval_every", "save_every", "warm_start_steps"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be ≥ 1; got {value}")
        if self.periphery < 0:
            raise ValueError(f"periphery must be ≥ 0 pixels; got {self.periphery}")
        if not 0 < self.eval_share < 1:
            raise ValueError(f"eval_share must be above 0 and below 1; got {self.eval_share}")


class LinearSchedule:
    """A value that falls to 0 over the training."""

    def __init__(self, initial: float) -> None:
        self.initial = initial

    def __call__(self, progress_remaining: float) -> float:
        return progress_remaining * self.initial


def algorithm(name: str) -> Any:
    """The class of an algorithm.

    Raises:
        ValueError: There is no such algorithm.
        ImportError: Its package is not installed.
    """
    if name not in ALGORITHMS:
        raise unknown_name("algorithm", name, ALGORITHMS)
    module, _, attribute = ALGORITHMS[name].partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        package = module.replace("_", "-")
        raise ImportError(
            f"algorithm {name!r} needs {package}: pip install {package} (the extra 'train')"
        ) from error


def hyperparameters(settings: Settings) -> dict[str, dict[str, Any]]:
    """Those of the ``algorithm``, the ``network`` and the ``warm-start``, as plain data.

    Raises:
        ImportError: The algorithm's package is missing.
        ValueError: One is unknown, or a file does not hold sections.
    """
    parameters = inspect.signature(algorithm(settings.algo)).parameters
    own = _sections(Path(__file__).with_name("hyperparameters.yml"))
    users = _sections(settings.config) if settings.config else {}
    for section in users:
        if section not in own:
            raise unknown_name(f"section of {settings.config}", section, own)
    known = {"algorithm": set(parameters) - set(_OWN), **{name: set(own[name]) for name in _SHARED}}
    chosen = {}
    for name in known:
        section = settings.algo if name == "algorithm" else name
        single = _of_section(settings.hyperparameters, name)
        chosen[name] = {**own[section], **users.get(section, {}), **single}
        for key in chosen[name]:
            if key not in known[name]:
                raise unknown_name("hyperparameter", key, known[name])
            _check_number(key, chosen[name][key], own[section].get(key))
    return chosen


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``["gamma=0.9", "learning_rate=lin_1e-3"]`` to names and values, which are YAML.

    Raises:
        ValueError: One is not of the form key=value.
    """
    parsed = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"a hyperparameter must be key=value; got {pair!r}")
        parsed[key] = _number(yaml.safe_load(value))
    return parsed


def built(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as Stable-Baselines3 takes them: ``lin_3e-4`` becomes a schedule."""
    return {
        key: LinearSchedule(float(value[4:]))
        if isinstance(value, str) and value.startswith("lin_")
        else value
        for key, value in values.items()
    }


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    read = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(read, dict) or not all(isinstance(part, dict) for part in read.values()):
        raise ValueError(f"{path} must hold a section an algorithm, each of key: value")
    return {name: {k: _number(v) for k, v in part.items()} for name, part in read.items()}


def _check_number(key: str, value: Any, usual: Any) -> None:
    """Refuse text where a number is usual; ``lin_3e-4`` is one."""
    text = isinstance(value, str) and not value.startswith("lin_")
    if text and (isinstance(usual, int | float) or str(usual).startswith("lin_")):
        raise ValueError(f"hyperparameter {key!r} must be a number; got {value!r}")


def _number(value: Any) -> Any:
    """YAML takes 3e-4, without a point, for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _of_section(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """``network.channels`` is of the section ``network``; without a point it is the algorithm's."""
    parts = {key: key.rpartition(".") for key in values}
    for key, (prefix, _, _) in parts.items():
        if prefix and prefix not in _SHARED:
            raise unknown_name(f"section of {key!r}", prefix, _SHARED)
    wanted = "" if section == "algorithm" else section
    return {parts[key][2]: value for key, value in values.items() if parts[key][0] == wanted}
