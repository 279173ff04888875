"""Agents to the Hub and back: the same agent, or a refusal that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_hub import FakeHub
from huggingface_hub import constants

from saccade_env import agents
from saccade_env.agents import AgentPolicy, files
from saccade_env.agents import hub as agents_hub
from saccade_env.card import describe_policy
from saccade_env.cli import making
from saccade_env.evaluation import plan
from saccade_env.hub.download import fetch

from .conftest import SENDING, call, evaluate, point_to, push, save

REPO, NAME = "me/seer", "hf:me/seer"
pytestmark = SENDING
CUTS = {
    "HF_HUB_OFFLINE or": lambda patch: patch.setattr(constants, "HF_HUB_OFFLINE", True),
    "SACCADE_OFFLINE forbids to ask": lambda patch: patch.setenv("SACCADE_OFFLINE", "1"),
    "cannot reach http://127.0.0.1:9 for": lambda patch: point_to("http://127.0.0.1:9", patch),
}
PRETRAINED = files.SHIPPED / "agent-image"


def test_pushed_and_fetched_elsewhere_it_looks_the_same(
    hub: FakeHub, agent: Path, elsewhere: Callable[[], None], linear: Any, sample: Any
) -> None:
    output = push(agent, REPO)
    commit = hub.repo(REPO).branches["main"]
    assert f"pushed {hub.endpoint}/me/seer\n" in output
    assert f"--policy {NAME}@{commit}" in output
    elsewhere()
    fetched, local = making.find(NAME, 0, "cpu")((14, 14)), AgentPolicy.load(agent)
    found, own = ({"agent": one} for one in (fetched, local))
    one, other = (evaluate(policies, linear, sample) for policies in (found, own))
    pd.testing.assert_frame_equal(one.records, other.records)
    described = one.summary["policies"]["agent"]["weights"]
    assert described["source"] == f"{NAME}@{commit}"
    assert described["sha256"] == describe_policy(local)["weights"]["sha256"]
    assert (agents.create(NAME).weights or local.weights).source == f"{NAME}@{commit}"


def test_parameters_follow_a_comma(hub: FakeHub, agent: Path) -> None:
    push(agent, REPO)
    assert making.find(f"{NAME},stops=true", 0, "cpu")((14, 14)).stops is False  # it cannot
    for wrong, said in (
        (f"{NAME},stop=true", "unknown parameter 'stop'"),
        (f"{NAME}:stops=true", "parameters follow a comma"),
        (f"{NAME}@", "hf:NAME@REVISION"),
        ("hf:stops=true", "hf:NAME@REVISION"),
        (f"{NAME},source=x", "cannot be set in a name"),
        ("hf:me/a/b", "Repo id"),
    ):
        with pytest.raises(ValueError, match=said):
            making.find(wrong, 0, "cpu")


def test_a_revision_stays_what_it_was(hub: FakeHub, agent: Path, tmp_path: Path) -> None:
    push(agent, REPO)
    old = hub.repo(REPO).branches["main"]
    push(save(tmp_path / "again", 2), REPO, "--message", "Better")
    push(save(tmp_path / "third", 3), REPO, "--revision", "trial")
    names = (f"{NAME}@{old}", NAME, f"{NAME}@main", f"{NAME}@trial")
    hashes = [making.find(name, 0, "cpu")((14, 14)).weights.sha256 for name in names]
    assert hashes[1] == hashes[2]
    assert len({*hashes}) == 3
    assert hashes[0] == AgentPolicy.load(agent).weights.sha256  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError, match="me/seer has no revision 'nowhere'"):
        making.find(f"{NAME}@nowhere", 0, "cpu")


@pytest.mark.parametrize("name", [files.WEIGHTS, files.DESCRIPTION])
def test_a_file_that_was_changed_is_refused_by_name(
    hub: FakeHub, agent: Path, tmp_path: Path, name: str
) -> None:
    push(agent, REPO)
    other = save(tmp_path / "other", 2) / name  # sound, and of the same size
    before = hub.repo(REPO).branches["main"]
    hub.change(REPO, name, other.read_bytes().replace(b'"seed": 2', b'"seed": 3'))
    with pytest.raises(OSError, match=f"{name} of me/seer is not what was pushed"):
        making.find(NAME, 0, "cpu")
    assert making.find(f"{NAME}@{before}", 0, "cpu")
    hub.change(REPO, name, None)
    with pytest.raises(OSError, match=f"me/seer lacks {name}"):
        making.find(NAME, 0, "cpu")


def test_a_copy_that_was_damaged_here_is_refused(hub: FakeHub, agent: Path) -> None:
    push(agent, REPO)
    path = agents_hub.find(NAME).folder / files.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(OSError, match=f"was damaged, remove {path.resolve()}"):
        making.find(NAME, 0, "cpu")


def test_without_network_the_cache_serves(
    hub: FakeHub, agent: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    push(agent, REPO)
    commit = hub.repo(REPO).branches["main"]
    assert making.find(NAME, 0, "cpu")
    hub.asked.clear()
    for cut in CUTS.values():
        with monkeypatch.context() as patch:
            cut(patch)
            for named in (NAME, f"{NAME}@{commit}"):
                assert making.find(named, 0, "cpu")
    assert not hub.asked
    elsewhere()
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries again and again
    for said, cut in CUTS.items():
        with monkeypatch.context() as patch:
            cut(patch)
            for command in (
                ("record", "--policy", NAME),
                ("push", agent, "--repo", REPO),
                ("list", "--remote"),
            ):
                code, output = call(*command)
                assert (code, said in output) == (1, True), output


def test_a_private_agent_is_for_who_has_the_token(
    hub: FakeHub, agent: Path, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    push(agent, REPO, "--private")
    assert hub.repo(REPO).private
    elsewhere()
    monkeypatch.delenv("HF_TOKEN")
    for repo in (REPO, "me/nobody"):
        with pytest.raises(FileNotFoundError, match=f"no {repo} on .*if it is private, set HF_TOK"):
            making.find(f"hf:{repo}", 0, "cpu")
    assert NAME not in call("list", "--remote")[1]
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert making.find(NAME, 0, "cpu")
    assert NAME in call("list", "--remote")[1]


def test_what_the_hub_refuses_is_said(hub: FakeHub, agent: Path) -> None:
    code, output = call("push", agent, "--repo", "others/seer")
    assert code == 1
    assert "does not let you do this to others/seer (HTTP 403): set HF_TOKEN" in output
    push(agent, REPO)
    hub.repo(REPO).gated = True
    with pytest.raises(PermissionError, match="me/seer is gated: ask for access on its page"):
        making.find(NAME, 0, "cpu")
    hub.refuses = 418
    with pytest.raises(OSError, match="answered HTTP 418 for me/seer: not today"):
        making.find(NAME, 0, "cpu")


def test_what_is_none_of_ours_is_refused(hub: FakeHub, agent: Path, evaluated: Path) -> None:
    push(agent, REPO)
    manifest = json.loads(hub.repo(REPO).tree()["saccade-env.json"])
    for content, said in (
        (None, "is none of ours: it has no saccade-env.json"),
        (b"[]", "expected a JSON object"),
        (b"{}", "is none of ours: its saccade-env.json is not what this version writes"),
        ({"format": 2}, "format 2"),
        ({"kind": "virus"}, "kind 'virus'"),
        ({"files": {"../agent.json": {"sha256": "", "size": 1}}}, "inside the folder"),
        ({"files": {"agent.pkl": {"sha256": "", "size": 1}}}, "inside the folder that ends in"),
        ({"files": {"agent.json": {"sha256": 1, "size": -1}}}, "of 'agent.json' it says"),
        ({"files": {}}, "lists no agent.json, agent.safetensors, but nothing"),
        ({"kind": "paper"}, "is of the kind 'paper'; expected 'agent'"),
    ):
        made = {**manifest, **content} if isinstance(content, dict) else content
        hub.change(
            REPO, "saccade-env.json", json.dumps(made).encode() if isinstance(made, dict) else made
        )
        with pytest.raises((OSError, ValueError), match=said):
            making.find(NAME, 0, "cpu")


def test_what_is_too_large_is_not_downloaded(hub: FakeHub, agent: Path) -> None:
    push(agent, REPO)
    hub.asked.clear()
    with pytest.raises(ValueError, match=r"MB in agent.json, agent.safetensors; at most 0.0 MB"):
        fetch(REPO, only=(files.DESCRIPTION, files.WEIGHTS), largest=5000)
    assert not any("agent" in asked.rpartition("/")[2] for asked in hub.asked)
    hub.change(REPO, "saccade-env.json", b" " * 6000)
    with pytest.raises(ValueError, match="MB in saccade-env.json"):
        fetch(REPO, largest=5000)


def test_agents_are_listed_with_what_their_cards_tell(
    hub: FakeHub, agent: Path, evaluated: Path
) -> None:
    push(agent, REPO, "--results", evaluated)
    push(agent, "me/unproven")
    push(evaluated, "me/records")
    push(agent, "me/strange")
    strange = b"---\ntags: [saccade-env]\nmodel-index: [{results: 3}]\n---\n"
    hub.change("me/strange", "README.md", strange)
    hub.change("me/unproven", "README.md", b"---\ntags: [other]\n---\n")
    code, output = call("list", "--remote")
    assert code == 0, output
    summary = json.loads((evaluated / "summary.json").read_text())
    told = f"{100 * summary['results']['mine']['augc']:.1f} on sample, 4 images"
    assert told in next(line for line in output.splitlines() if NAME in line)
    assert "hf:me/strange" in output
    assert not any(name in output for name in ("records", "unproven"))


@pytest.mark.slow
def test_from_the_command_line_with_an_agent_that_comes_with_the_package(
    hub: FakeHub,
    tmp_path: Path,
    elsewhere: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "_draw", lambda *_: None)
    task = ["evaluate", "--classifier", "efficientnet_lite0", "--images", "sample", "--limit", "4",
            "--saccades", "2", "--no-gif", "--policy"]  # fmt: skip
    code, output = call(*task, PRETRAINED, "--out", tmp_path / "before")
    assert code == 0, output
    push(PRETRAINED, REPO, "--results", tmp_path / "before")
    elsewhere()
    code, output = call(*task, NAME, "--out", tmp_path / "after")
    assert code == 0, output
    before, after = (pd.read_parquet(tmp_path / out / "records.parquet").drop(columns="policy")
                     for out in ("before", "after"))  # fmt: skip
    pd.testing.assert_frame_equal(before, after)
    commit = hub.repo(REPO).branches["main"]
    run = json.loads((tmp_path / "after" / "run.json").read_text())
    assert run["policies"][NAME]["weights"]["source"] == f"{NAME}@{commit}"
    hub.change(REPO, files.WEIGHTS, (PRETRAINED / files.WEIGHTS).read_bytes()[:-1] + b"?")
    code, output = call(*task, NAME, "--out", tmp_path / "tampered")
    assert code == 1
    assert "agent.safetensors of me/seer is not what was pushed" in output
    assert not (tmp_path / "tampered").exists()
