"""Policies and trained agents by name: here alone the package meets all its rooms."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from saccade_env.cli.console import note
from saccade_env.config import SaccadeConfig
from saccade_env.errors import unknown_name
from saccade_env.registry import parse_spec, read_parameters

Grid = tuple[int, int]
Build = Callable[[Grid], Any]  # a policy on a token grid
_SB3 = "sb3"
USUAL = ("dino", "focus-saliency", "gbvs")  # whom one looks at first


def find_policies(names: list[str] | None, seed: int, device: str) -> dict[str, Build]:
    """What builds policies and agents by name; by default all policies that need no download.

    Names and parameters are checked; nothing is loaded yet.

    Raises:
        ValueError: No such policy, parameter or value; the message says which.
        ImportError: A package it needs is missing; the message gives the install command.
        FileNotFoundError: A model of Stable-Baselines3 is not there.
    """
    from saccade_env import policies

    if not names:
        known = policies.REGISTRY
        ours = [name for name, entry in known.entries.items() if not entry.package]
        _say_what_is_missing({name: known.missing(name) for name in ours})
    return {name: find(name, seed, device) for name in names or policies.available()}


def usual_policy() -> str:
    """The one that is looked at unless another is asked for."""
    from saccade_env import policies

    return next(name for name in USUAL if not policies.REGISTRY.missing(name))


def find_agents(judge: Any, seed: int, device: str) -> dict[str, Build]:
    """What builds the agents that came with the package and can run here beside this classifier."""
    from saccade_env.agents import files

    lacks = {name: _agent_lacks(name, judge) for name in files.available()}
    _say_what_is_missing(lacks)
    return {name: find(name, seed, device) for name, reason in lacks.items() if not reason}


def find(name: str, seed: int, device: str) -> Build:
    """What builds a policy of the registry, a trained agent, or a model of Stable-Baselines3.

    An agent is known by its name, if it came with the package, or by its folder; a model by
    ``sb3:PATH`` alone, since it is unpickled. Parameters follow a colon.
    """
    from saccade_env import policies
    from saccade_env.agents import files
    from saccade_env.agents.policy import AgentPolicy

    base, _, rest = name.partition(":")
    load: Any = AgentPolicy.load
    if base in files.available():  # before the policies, to which other packages may add
        path, text = str(files.folder_of(base)), name
        if base in policies.REGISTRY.entries:
            other = policies.REGISTRY[base].package
            note(f"{base!r} is the agent that came with saccade_env, not the policy of {other}")
    elif base in policies.REGISTRY.entries:
        return _registered(name, seed, device)
    elif base == _SB3:
        from saccade_env.agents.sb3_zip import load_sb3

        path, text = _path_and_parameters(rest)
        load = partial(load_sb3, trust=True)
        if not path:
            raise FileNotFoundError(f"no such model of Stable-Baselines3: {rest!r}")
    else:
        path, text = _path_and_parameters(name)
        if not os.path.isfile(os.path.join(path, files.DESCRIPTION)):
            raise _no_such_policy(path, name, [*policies.REGISTRY.entries, *files.available()])
    keywords = read_parameters(load, parse_spec(text)[1], f"agent {base!r}", ("grid", "device"))

    def build(grid: Grid) -> Any:
        prior = fixed_maker(grid, seed, device)
        return load(Path(path), grid=grid, make_prior=prior, device=device, **keywords)

    return build


def open_images(spec: str | None, labels: str | None) -> Any:
    """The images of the shared options."""
    from saccade_env import images

    keywords: dict[str, Any] = {} if labels is None else {"labels": labels}
    return images.create(spec, **keywords)


def check_classifier(name: str) -> None:
    """Refuse a classifier that is none before the images are opened, which may be downloaded."""
    from saccade_env import classifiers

    base, _ = parse_spec(name)
    if base != classifiers.AUTO:
        classifiers.REGISTRY[base]


def fixed_maker(grid: Grid, seed: int, device: str) -> Callable[[str], Any]:
    """Builds the policies of the registry alone, so that a name in a file can load nothing else."""
    return lambda name: _registered(name, seed, device)(grid)


def _registered(name: str, seed: int, device: str) -> Build:
    from saccade_env import policies

    base, parameters = parse_spec(name)
    if base == "random":
        parameters.setdefault("seed", str(seed))
    build = policies.REGISTRY.builder(base, parameters, ("grid", "device"))
    return lambda grid: build(grid=grid, device=device)


def _path_and_parameters(text: str) -> tuple[str, str]:
    """The longest path in a text that is there, or none, and from its colon on what is left."""
    ends = [len(text), *(place for place in range(len(text)) if text[place] == ":")]
    for end in sorted(ends, reverse=True):
        if os.path.exists(path := os.path.expanduser(text[:end])):
            return path, text[end:]
    return "", text


def _no_such_policy(path: str, name: str, known: list[str]) -> Exception:
    if not path and any(separator in name for separator in "/\\"):
        return FileNotFoundError(f"no such policy and no such folder: {name}")
    error = unknown_name("policy", name if path else name.partition(":")[0], known)
    if not path:
        return error
    return ValueError(
        f"{error} {path} here is no agent, as it holds no agent.json; a model of "
        f"Stable-Baselines3 is loaded by '{_SB3}:{path}', which unpickles it: trust it"
    )


def _agent_lacks(name: str, judge: Any) -> str:
    from saccade_env import classifiers, policies
    from saccade_env.agents import files

    described = files.read_description(files.folder_of(name))
    seen, side = described["observation"], described["network"]["patch_size"]
    if side != judge.patch_size:
        return f"made for tokens of {side} pixels, not of {judge.patch_size}"
    if seen["belief"] > judge.num_classes:
        return f"made for {seen['belief']} classes or more, not for {judge.num_classes}"
    seer = seen["eye"] and seen["eye"]["classifier"].partition(":")[0]
    needs = ((policies.REGISTRY, seen["prior"]), (classifiers.REGISTRY, seer))
    return next((lack for known, it in needs if it and (lack := known.missing(it))), "")


def _say_what_is_missing(lacks: dict[str, str]) -> None:
    if absent := [f"{name} ({reason})" for name, reason in lacks.items() if reason]:
        note("left out: " + "; ".join(absent))


def record_episode(
    source: Any,
    classifier: Any,
    policies: dict[str, Any],
    path: Path,
    index: int,
    seed: int,
    config: SaccadeConfig,
) -> None:
    """Record one episode of each policy, as a film or to be played."""
    from saccade_env import SaccadeEnv, rendering

    env = SaccadeEnv(
        source,
        classifier,
        fovea=config.fovea,
        max_saccades=config.max_saccades,
        render_mode="rgb_array",
    )
    rendering.record(env, policies, path, seed=seed, index=index)
