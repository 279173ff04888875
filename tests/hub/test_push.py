"""What is pushed, what is not, and what is left alone on the Hub."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_hub import FakeHub, Repo

from saccade_env.agents import files
from saccade_env.cli.push import paths_in
from saccade_env.evaluation.plan import FIGURES
from saccade_env.hub.download import fetch
from saccade_env.hub.manifest import MANIFEST, README, Publication

from .conftest import SENDING, call, push, save

REPO = "me/seer"
pytestmark = SENDING
AGENT = {files.DESCRIPTION, files.WEIGHTS, MANIFEST, README, ".gitattributes"}


def test_nothing_but_what_is_listed_leaves_the_machine(hub: FakeHub, agent: Path) -> None:
    for name in ("model.zip", "checkpoint.pt", "card.json", "mine.png", "more.safetensors"):
        (agent / name).write_bytes(b"mine")
    (agent / files.EVALUATIONS).write_text("timesteps,accuracy\n")
    push(agent, REPO)
    tree = hub.repo(REPO).tree()
    assert {*tree} == {*AGENT, files.EVALUATIONS}
    assert all(tree[name] == (agent / name).read_bytes() for name in (files.WEIGHTS,))
    assert b"mine" not in [*tree.values(), *hub.objects.values()]


def test_a_dry_run_shows_all_and_asks_nobody(hub: FakeHub, agent: Path) -> None:
    output = push(agent, REPO, "--dry-run", "--licence", "apache-2.0")
    size = (agent / files.WEIGHTS).stat().st_size
    for shown in (f"{size:,} bytes  agent.safetensors", "README.md", "license: apache-2.0",
                  "saccade-env evaluate --policy hf:me/seer", "7 images of few"):  # fmt: skip
        assert shown in output
    assert not hub.asked


def test_paths_of_this_machine_are_told_of(hub: FakeHub, agent: Path, evaluated: Path) -> None:
    told = re.compile(r"will be readable there: /.*/seer/agent.safetensors\n")
    assert told.search(push(evaluated, "me/records", "--dry-run"))
    assert "readable there" not in push(agent, REPO, "--dry-run")


def test_the_card_has_the_results_of_the_evaluation(
    hub: FakeHub, agent: Path, evaluated: Path, tmp_path: Path
) -> None:
    push(agent, REPO, "--results", evaluated)
    card = hub.repo(REPO).tree()[README].decode()
    [index] = yaml.safe_load(card.split("---\n")[1])["model-index"]
    summary = json.loads((evaluated / "summary.json").read_text())
    values = summary["results"]["mine"]
    [result] = index["results"]
    *accuracies, area = result["metrics"]
    assert [one["args"]["saccade"] for one in accuracies] == [1, 3]
    assert [one["value"] for one in accuracies] == [values["accuracy"][n] for n in (0, 2)]
    assert (area["type"], area["value"]) == ("augc", pytest.approx(values["augc"], abs=1e-4))
    assert area["args"]["interval"] == pytest.approx(values["augc_interval"], abs=1e-4)
    data = result["dataset"]["args"]
    assert (data["images"], data["seed"]) == (4, 0)
    assert data["identity"] == summary["images"]["identity"]
    assert data["command"].endswith("--saccades 3 --limit 4 --seed 0 --policy hf:me/seer")
    assert str(agent) not in card
    other = save(tmp_path / "other", 2)
    code, output = call("push", other, "--repo", "me/other", "--results", evaluated)
    assert code == 1
    assert "is no evaluation of this agent, whose weights have SHA-256" in output
    assert ("model", "me/other") not in hub.repos


def test_records_are_a_data_set_without_pictures(hub: FakeHub, evaluated: Path) -> None:
    push(evaluated, "me/records")
    tree = hub.repo("me/records", "dataset").tree()
    figures = {*FIGURES}
    records = {"run.json", "plan.json", "summary.json", "records.parquet"}
    assert {*tree} == {*figures, *records, MANIFEST, README, ".gitattributes"}
    said = yaml.safe_load(tree[README].decode().split("---\n")[1])
    assert said["configs"] == [{"config_name": "records", "data_files": "records.parquet"}]
    assert "--policy mine" in tree[README].decode()
    found = fetch("me/records", kind="evaluation")
    for name in (*figures, *records):
        assert (found.folder / name).read_bytes() == (evaluated / name).read_bytes()
    hub.change("me/records", "figures/accuracy.png", b"other", "dataset")
    with pytest.raises(OSError, match=r"figures/accuracy.png of me/records is not what was pushed"):
        fetch("me/records", kind="evaluation")


def test_pushed_again_what_is_ours_is_replaced_and_what_is_not_stays(
    hub: FakeHub, agent: Path, tmp_path: Path
) -> None:
    (agent / files.EVALUATIONS).write_text("timesteps\n")
    push(agent, REPO)
    first = hub.repo(REPO).branches["main"]
    hub.change(REPO, "film.mp4", b"theirs")
    again = save(tmp_path / "again", 2)
    assert "was edited" not in push(again, REPO)
    tree = hub.repo(REPO).tree()
    assert {*tree} == {*AGENT, "film.mp4"}
    assert tree[files.WEIGHTS] == (again / files.WEIGHTS).read_bytes()
    assert files.EVALUATIONS in hub.repo(REPO).tree(first)
    hub.change(REPO, README, b"---\n---\nmy own words")
    assert "README.md was edited on the Hub and stays" in push(agent, REPO)
    assert hub.repo(REPO).tree()[README].endswith(b"my own words")
    hub.change(REPO, README, None)
    assert "was edited" not in push(again, REPO)
    assert b"hf:me/seer" in hub.repo(REPO).tree()[README]
    hub.change(REPO, files.IMITATION, b"theirs")
    (agent / files.IMITATION).write_text("epoch\n")
    refused(hub, agent, REPO, "holds imitation.csv, which its saccade-env.json does not list")


def test_what_others_made_is_left_alone(hub: FakeHub, agent: Path, evaluated: Path) -> None:
    hub.repos["model", "me/theirs"] = theirs = Repo()
    theirs.commit({".gitattributes": b"", README: b"theirs"})
    refused(hub, agent, "me/theirs", "holds README.md and no saccade-env.json")
    push(evaluated, "me/records")
    hub.repos["model", "me/records"] = hub.repos["dataset", "me/records"]
    refused(hub, agent, "me/records", "is of the kind 'evaluation', this is of 'agent'")
    push(agent, REPO)
    refused(hub, agent, REPO, "is public already", "--private")


def refused(hub: FakeHub, run: Path, repo: str, why: str, *more: str) -> None:
    commits = dict(hub.repo(repo).commits)
    code, output = call("push", run, "--repo", repo, *more)
    assert code == 1
    assert why in output
    assert hub.repo(repo).commits == commits


def test_a_commit_that_came_between_is_not_undone(
    hub: FakeHub, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(agent, REPO)
    plain = Publication.manifest

    def slow(self: Publication) -> Any:
        hub.change(REPO, "film.mp4", b"theirs")
        return plain(self)

    monkeypatch.setattr(Publication, "manifest", slow)
    (agent / files.EVALUATIONS).write_text("timesteps\n")
    assert "somebody else changed me/seer meanwhile" in call("push", agent, "--repo", REPO)[1]
    assert files.EVALUATIONS not in hub.repo(REPO).tree()


def test_what_cannot_be_pushed_is_told_why(
    hub: FakeHub, agent: Path, evaluated: Path, tmp_path: Path
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "best.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    (agent / files.WEIGHTS).write_bytes(pickle.dumps({"cell.weight": 1}))
    for run, repo, why in (
        (agent, REPO, "agent.safetensors cannot be read as weights"),
        (tmp_path / "training", REPO, "a pickle, which is not pushed: `saccade-env export"),
        (tmp_path / "empty", REPO, "is neither an agent (no agent.json) nor an evaluation"),
        (tmp_path / "nowhere", REPO, "there is no folder"),
        (evaluated, "seer", "--repo must be OWNER/NAME; got 'seer'"),
        (evaluated, "me/-seer", "Repo id"),
    ):
        code, output = call("push", run, "--repo", repo)
        assert (code, why in " ".join(output.split())) == (1, True), output
    assert (
        "--results are of an agent"
        in call("push", evaluated, "--repo", REPO, "--results", evaluated)[1]
    )
    (evaluated / "summary.json").unlink()
    assert (
        "no finished evaluation: it lacks summary.json"
        in call("push", evaluated, "--repo", REPO)[1]
    )
    assert not hub.repos


@pytest.mark.parametrize("name", ["../a.json", "/a.json", "a.zip", "a.pt", "C:a.json", "a\\b.json"])
def test_a_name_that_leads_out_or_may_hold_code_is_never_pushed(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the name of a file inside the folder"):
        Publication("agent", tmp_path, (name,), "")


def test_paths_inside_of_texts_are_found_too() -> None:
    """Commands, quoted names and names behind a colon; addresses and relative paths are none."""
    card = "saccade-env paper --images /home/me/val --out '/data/out'\n![a](figures/a.png)"
    held = {"policy": "sb3:/home/me/run", "paper": "https://arxiv.org/abs/2603.09613", "n": [3]}
    assert [*paths_in([card, held, "PATH/TO/val", "3/4", r"C:\data\x"])] == [
        "/home/me/val", "/data/out", "/home/me/run", r"C:\data\x"
    ]  # fmt: skip
