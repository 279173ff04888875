"""What the workflows run is there: commands, options, files, extras, versions of Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml
from projects import ROOT, project

from saccade_env import cli

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(path.name for path in FOLDER.glob("*.y*ml"))
MAY_WRITE = {
    ("docs.yml", "deploy"): {"pages", "id-token"},
    ("release.yml", "publish"): {"id-token"},
}


def read(name: str) -> dict[str, Any]:
    return yaml.load(
        (FOLDER / name).read_text(encoding="utf-8"), yaml.BaseLoader
    )  # `on` stays text


def jobs(name: str) -> dict[str, Any]:
    return read(name)["jobs"]


def steps(name: str) -> list[dict[str, Any]]:
    """Those of all jobs; a job may be another workflow of ours, which has its own."""
    return [step for job in jobs(name).values() for step in job.get("steps", ())]


def test_workflows_that_are_called_are_there() -> None:
    called = [job["uses"] for name in WORKFLOWS for job in jobs(name).values() if "uses" in job]
    assert called
    for path in called:
        assert "workflow_call" in read(path.rpartition("/")[2])["on"], path


def commands(name: str) -> list[list[str]]:
    """The words of every command."""
    lines = [line for step in steps(name) for line in step.get("run", "").splitlines()]
    return [shlex.split(line) for line in lines if line.strip()]


def of_ours() -> Iterator[tuple[str, list[str]]]:
    """Calls of ``saccade-env``: its subcommand and what follows."""
    for name in WORKFLOWS:
        for words in commands(name):
            if words[0] == "saccade-env":
                yield words[1], words[2:]


def wrong_options(command: str, words: list[str]) -> list[str]:
    group: Any = typer.main.get_command(cli.app)
    known = {option for parameter in group.commands[command].params for option in parameter.opts}
    return [word for word in words if word.startswith("--") and word not in known]


def test_there_are_workflows_for_all_that_is_promised() -> None:
    assert WORKFLOWS == ["docs.yml", "release.yml", "tests.yml", "weights.yml"]
    assert read("weights.yml")["on"]["schedule"]
    assert read("release.yml")["on"] == {"push": {"tags": ["v*"]}}


def test_our_commands_and_their_options_exist() -> None:
    called = dict(of_ours())
    assert called.keys() == {"verify", "paper"}
    assert not {name: wrong for name, words in called.items()
                if (wrong := wrong_options(name, words))}  # fmt: skip
    assert wrong_options("verify", ["--out", "--no-such-option"]) == ["--no-such-option"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_files_exist(name: str) -> None:
    words = [word for command in commands(name) for word in command]
    paths = [word for word in words if re.match(r"(\.ci|constraints|docs|tests)\b", word)]
    assert paths or name == "weights.yml"
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_extras_exist(name: str) -> None:
    words = [word for command in commands(name) for word in command]
    asked = [extra for word in words for extra in re.findall(r"^\.\[(\w+)\]$", word)]
    assert set(asked) <= project()["optional-dependencies"].keys()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_may_be_written_but_where_it_must(name: str) -> None:
    assert read(name)["permissions"] == {"contents": "read"}
    for job, described in jobs(name).items():
        may = MAY_WRITE.get((name, job), set())
        assert described.get("permissions", {}) == dict.fromkeys(may, "write"), job


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_have_a_version(name: str) -> None:
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used
    assert not [use for use in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v|release/v)\d+", use)]


def test_versions_of_python_are_those_the_project_states() -> None:
    tested = jobs("tests.yml")["tests"]["strategy"]["matrix"]["python"]
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(project()["classifiers"]))
    assert tested == stated
    assert project()["requires-python"] == f">={tested[0]}"
    [lowest] = [step["with"]["python-version"] for step in jobs("tests.yml")["lowest"]["steps"]
                if "python-version" in step.get("with", {})]  # fmt: skip
    assert lowest == tested[0]
