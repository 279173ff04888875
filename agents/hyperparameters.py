"""Hyperparameters: those of ``hyperparameters.yml``, under a file and single values of the user's.

The file is in RL Zoo's style: a section an algorithm, and the names are Stable-Baselines3's. A
user's may have one more, ``train``: options of ``saccade-env train``, which makes it a recipe.
"""

from __future__ import annotations

import importlib
import inspect
import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from saccade_env.agents.imitate import imitate
from saccade_env.agents.net import TokenGridNet
from saccade_env.errors import unknown_name

#: Algorithms by name.
ALGORITHMS = {
    "ppo": "stable_baselines3:PPO",
    "maskable-ppo": "sb3_contrib:MaskablePPO",
    "dqn": "stable_baselines3:DQN",
    "recurrent-ppo": "sb3_contrib:RecurrentPPO",
}
_SHARED = ("network", "warm-start")  # sections that all algorithms share
# Set by us.
_OWN = ("policy", "env", "seed", "device", "tensorboard_log", "verbose", "_init_setup_model")
_OF_IMITATE = ("model", "paths", "seed", "progress", "masked", "held_back")
TRAIN = "train"  # section of a recipe
_COUNT, _SHARE, _WEIGHT = (1.0, math.inf), (0.0, 1.0), (0.0, math.inf)
_ABOVE_0 = (1e-12, math.inf)
# Smallest and largest value, as Stable-Baselines3 refuses few, and those late.
_LIMITS = {
    "n_steps": _COUNT,
    "n_epochs": _COUNT,
    "batch_size": (2.0, math.inf),
    "buffer_size": _COUNT,
    "learning_starts": _WEIGHT,
    "train_freq": _COUNT,
    "gradient_steps": (-1.0, math.inf),
    "target_update_interval": _COUNT,
    "stats_window_size": _COUNT,
    "learning_rate": (1e-12, 1e6),
    "clip_range": _ABOVE_0,
    "clip_range_vf": _ABOVE_0,
    "max_grad_norm": _ABOVE_0,
    "target_kl": _ABOVE_0,
    "gamma": _SHARE,
    "gae_lambda": _SHARE,
    "tau": _SHARE,
    "exploration_fraction": _SHARE,
    "exploration_initial_eps": _SHARE,
    "exploration_final_eps": _SHARE,
    "ent_coef": _WEIGHT,
    "vf_coef": _WEIGHT,
    "weight_decay": _WEIGHT,
    "regression": _WEIGHT,
    "rounds": _COUNT,
    "asked": (1e-12, 1.0),
    "channels": (8.0, 512.0),
    "embedding": (0.0, 512.0),
    "blocks": (0.0, 32.0),
}
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "{name: value, …}",
    NoneType: "null",
}


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


def hyperparameters(
    algo: str, given: Mapping[str, Any], file: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Those of the ``algorithm``, the ``network`` and the ``warm-start``, as plain data.

    Args:
        algo: One of :data:`ALGORITHMS`.
        given: Single values: ``gamma``, ``network.channels``, ``warm-start.n_epochs``, …
        file: A YAML file of the user's, over which these go.

    Raises:
        ImportError: The algorithm's package is missing.
        OSError: A file cannot be read.
        ValueError: One is unknown, of another type or out of range, or a file does not hold
            sections; the message names file, section and key.
    """
    types = {
        algo: _types(algorithm(algo), _OWN),
        "network": _types(TokenGridNet, ("observation_space", "stop_action")),
        "warm-start": {**_types(imitate, _OF_IMITATE), "asked": float, "rounds": int},
    }
    own = _sections(Path(__file__).with_name("hyperparameters.yml"))
    users = _sections(file) if file else {}
    users.pop(TRAIN, None)
    for section in users:
        if section not in own:
            raise unknown_name(f"section of {file}", section, [*own, TRAIN])
    chosen = {}
    for section, known in types.items():
        inline = _of_section(given, section)
        users_own = _checked(users.get(section, {}), known, f"{file}, {section}: ")
        chosen[section] = {**own[section], **users_own, **_checked(inline, known, "")}
    return {"algorithm": chosen.pop(algo), **chosen}


def recipe(file: Path) -> dict[str, Any]:
    """Options of ``saccade-env train`` that a user's file gives, by their names.

    Raises:
        OSError: It cannot be read.
        ValueError: It does not hold sections.
    """
    given = _read(file).get(TRAIN, {})
    return {key: _number(value) if _exponent(value) else value for key, value in given.items()}


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
        key: partial(operator.mul, _scheduled(value)) if isinstance(value, str) else value
        for key, value in values.items()
    }


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    read = _read(path).items()
    return {name: {key: _number(value) for key, value in part.items()} for name, part in read}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    read = _yaml(text, str(path))
    if not isinstance(read, dict) or not all(isinstance(part, dict) for part in read.values()):
        raise ValueError(f"{path} must hold a section an algorithm, each of key: value")
    return {str(n): {str(k): v for k, v in part.items()} for n, part in read.items()}


def _types(build: Any, left_out: tuple[str, ...]) -> dict[str, Any]:
    """Annotations of the keywords of a class or function."""
    parameters = inspect.signature(build, eval_str=True).parameters
    return {name: own.annotation for name, own in parameters.items() if name not in left_out}


def _checked(values: Mapping[str, Any], types: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values of the types that are annotated, and in range: a whole number where one is asked for.

    Raises:
        ValueError: One is not; the message begins with ``where``.
    """
    found = {}
    for key, value in values.items():
        if key not in types:
            raise unknown_name(f"{where}hyperparameter", key, types)
        kinds = _kinds(types[key])
        least, most = _LIMITS.get(key, (-math.inf, math.inf))
        if isinstance(value, float) and value.is_integer() and int in kinds:
            value = int(value)
        number = _scheduled(value) if "lin_3e-4" in kinds else value
        fits = type(number) in kinds or (type(number) is int and float in kinds)
        if type(number) in (int, float):
            fits = fits and math.isfinite(number) and least <= number <= most
        if not fits:
            names = [kind if isinstance(kind, str) else _KINDS[kind] for kind in kinds]
            limits = [f" ≥ {least:g}"] if least > -math.inf else []
            limits += [f" ≤ {most:g}"] if most < math.inf else []
            wanted = " or ".join(names) + " and".join(limits)
            raise ValueError(f"{where}hyperparameter {key!r} must be {wanted}; got {value!r}")
        found[key] = value
    return found


def _kinds(hint: Any) -> list[Any]:
    """What a value may be that YAML can hold: types, and the form of a schedule."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    origins = [get_origin(one) or one for one in hints]
    return [kind for kind in _KINDS if kind in origins] + ["lin_3e-4"] * (Callable in origins)


def _scheduled(value: Any) -> Any:
    """The first value of a schedule in the form ``lin_3e-4``; any other value as it is."""
    try:
        return float(value[4:]) if isinstance(value, str) and value[:4] == "lin_" else value
    except ValueError:
        return value


def _yaml(text: str, what: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is not YAML: {error}") from error


def _exponent(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[+-]?\d+e[+-]?\d+", value, re.IGNORECASE))


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
    wanted = section if section in _SHARED else ""
    return {parts[key][2]: value for key, value in values.items() if parts[key][0] == wanted}
