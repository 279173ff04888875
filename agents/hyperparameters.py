"""Hyperparameters: those of ``hyperparameters.yml``, under a file and single values of the user's.

The file is in RL Zoo's style: a section an algorithm, and the names are Stable-Baselines3's.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from saccade_env.agents.settings import Settings
from saccade_env.errors import unknown_name

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
            usual = own[section].get(key)
            chosen[name][key] = _like(key, chosen[name][key], usual, schedules=name == "algorithm")
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
        parsed[key] = _number(_yaml(value, pair))
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
    read = _yaml(path.read_text("utf-8"), str(path))
    if not isinstance(read, dict) or not all(isinstance(part, dict) for part in read.values()):
        raise ValueError(f"{path} must hold a section an algorithm, each of key: value")
    return {name: {k: _number(v) for k, v in part.items()} for name, part in read.items()}


def _like(key: str, value: Any, usual: Any, schedules: bool) -> Any:
    """A value of the kind that is usual: a whole number where one is, and a number at least.

    Raises:
        ValueError: It is not.
    """
    if key == "policy_kwargs" and not isinstance(value, Mapping):
        raise ValueError(f"hyperparameter {key!r} must be {{name: value, …}}; got {value!r}")
    scheduled = str(usual).startswith("lin_")
    if not isinstance(usual, int | float) and not scheduled:
        return value
    if schedules and isinstance(value, str) and value.startswith("lin_"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"hyperparameter {key!r} must be a number; got {value!r}")
    if not isinstance(usual, int) or isinstance(value, int):
        return value
    if not value.is_integer():
        raise ValueError(f"hyperparameter {key!r} must be a whole number; got {value!r}")
    return int(value)


def _yaml(text: str, what: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is not YAML: {error}") from error


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
