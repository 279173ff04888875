"""Policies and trained agents by name: here alone the package meets all its rooms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from saccade_env.cli.console import note
from saccade_env.errors import unknown_name
from saccade_env.registry import parse_spec


def policies_by_name(
    names: list[str] | None, classifier: Any, seed: int, device: str
) -> dict[str, Any]:
    """Policies and agents under the names given; by default all that need no download."""
    from saccade_env import policies

    if not names:
        _say_what_is_missing(policies.REGISTRY)
    make = maker(classifier, seed, device)
    return {name: make(name) for name in names or policies.available()}


def fixed_maker(classifier: Any, seed: int, device: str) -> Callable[[str], Any]:
    """Builds the policies of the registry alone, so that a name in a file can load nothing else."""
    from saccade_env import policies

    def make(name: str) -> Any:
        base, keywords = parse_spec(name)
        if base == "random":
            keywords.setdefault("seed", seed)
        return policies.create(base, grid=classifier.grid, device=device, **keywords)

    return make


def maker(classifier: Any, seed: int, device: str) -> Callable[[str], Any]:
    """Builds policies by name, with parameters if any; or trained agents by name or path."""
    from saccade_env import policies
    from saccade_env.agents import files

    fixed = fixed_maker(classifier, seed, device)

    def make(name: str) -> Any:
        base, keywords = parse_spec(name)
        if base in policies.REGISTRY.entries:
            return fixed(name)
        if base in files.available():
            return _agent(files.folder_of(base), classifier.grid, fixed, device, **keywords)
        if Path(base).exists():
            return _agent(Path(base), classifier.grid, fixed, device, **keywords)
        if Path(base).suffix or len(Path(base).parts) > 1:
            raise FileNotFoundError(f"no such policy and no such file: {base}")
        raise unknown_name("policy", base, [*policies.REGISTRY.entries, *files.available()])

    return make


def _agent(path: Path, grid: Any, make: Any, device: str, stops: bool = False, **wrong: Any) -> Any:
    """A trained agent: of ours, or as Stable-Baselines3 saved it, which is unpickled."""
    from saccade_env.agents.policy import AgentPolicy

    for name in wrong:
        raise unknown_name("parameter of an agent", name, ["stops"])
    if (path / "agent.json").exists():
        return AgentPolicy.load(path, grid, make, device, stops)
    from saccade_env.agents.sb3_zip import load_sb3

    return load_sb3(path, grid, make, device, stops)


def _say_what_is_missing(registry: Any) -> None:
    absent = {name: registry.missing(name) for name in registry.entries}
    if absent := {name: reason for name, reason in absent.items() if reason}:
        note("left out: " + "; ".join(f"{name} ({reason})" for name, reason in absent.items()))


def record_episode(
    source: Any,
    classifier: Any,
    policy: Any,
    path: Path,
    index: int,
    seed: int,
    fovea: int,
    saccades: int,
) -> None:
    """Record one episode as a GIF or MP4."""
    from saccade_env import SaccadeEnv, rendering

    env = SaccadeEnv(
        source,
        classifier,
        fovea=fovea,
        max_saccades=saccades,
        render_mode="rgb_array",
    )
    rendering.record(env, policy, path, seed=seed, index=index)
