"""An episode, the networks and an evaluation, for an installation that has no test tools.

``smoke.py [CONSTRAINTS]``: with a file of constraints, the versions must be those it gives.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import gymnasium
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import saccade_env
from saccade_env.classifiers import weights
from saccade_env.cli import app

CLASSIFIER = "efficientnet_lite0"  # its weights are a package


LARGE = {"torch", "torchvision"}  # .ci/run takes those that are there


def check_lowest(path: str) -> None:
    """Refuse other versions than those of a file of constraints, and such as exclude each other."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and line[0] != "#")
    here = {name: metadata.version(name).partition("+")[0] for name in pinned}
    other = {name for name in pinned if here[name] != pinned[name]}
    wrong = [f"{name} {here[name]}, not {pinned[name]}" for name in sorted(other - LARGE)]
    wrong += [problem for name in pinned.keys() - other for problem in excluded(name, pinned)]
    if wrong:
        raise SystemExit(f"not as {path} says: {', '.join(wrong)}")
    print("lowest versions but for", sorted(other) or "none")


def excluded(name: str, pinned: dict[str, str]) -> list[str]:
    """What of the pinned versions an installed package cannot do with."""
    needs = map(Requirement, metadata.requires(name) or [])
    versions = {canonicalize_name(one): version for one, version in pinned.items()}
    held = [(need, versions.get(canonicalize_name(need.name))) for need in needs if not need.marker]
    bad = [(need, found) for need, found in held if found and not need.specifier.contains(found)]
    return [f"{name} needs {need}, not {found}" for need, found in bad]


def episode() -> None:
    """Look at random until it ends."""
    env = gymnasium.make(
        "SaccadeImageNet-v0", images="sample", classifier=CLASSIFIER, max_saccades=3
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    done = False
    while not done:
        _, _, done, _, info = env.step(env.action_space.sample())
    print("certainty after an episode:", round(info["certainty"], 3))


def networks() -> None:
    """Build what has published weights, without them, as it is built before they are read."""
    for file in weights.TABLE.values():
        module, _, attribute = file.network.partition(":")
        build = getattr(importlib.import_module(module), attribute)
        weights.empty(lambda build=build, sizes=file.sizes: build(*sizes))
    print("networks:", len(weights.TABLE))


def evaluation() -> None:
    """A fixed policy and a trained agent, by the command line."""
    run = CliRunner().invoke
    assert run(app, ["--help"]).exit_code == 0
    policies = ("centre", "agent-image")
    named = [part for name in policies for part in ("--policy", name)]
    asked = ["--classifier", CLASSIFIER, "--limit", "4", "--saccades", "2"]
    with tempfile.TemporaryDirectory() as out:
        result = run(app, ["evaluate", *asked, *named, "--out", out], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert len(json.loads(Path(out, "summary.json").read_text())["results"]) == len(policies)


if __name__ == "__main__":
    for constraints in sys.argv[1:]:
        check_lowest(constraints)
    episode()
    networks()
    evaluation()
    print(f"{saccade_env.__file__} works")
