"""The paper's own path at full size, from files as they are published, with random weights.

What the numbers are is proven on goldens (``classifiers/test_dino.py``); here every step runs.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from saccade_env import SaccadeEnv, classifiers, cli, images, policies, rendering
from saccade_env.classifiers import weights
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate
from saccade_env.policies.attention_maps import attention_map


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ViT-S/16 files of the official names and layout, carried by hand."""
    from timm.models.vision_transformer import VisionTransformer

    folder = tmp_path_factory.mktemp("carried")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = VisionTransformer(patch_size=16, embed_dim=384, num_heads=6, num_classes=0)
        head = torch.randn(1000, 1536) / 20
    for block in backbone.blocks:  # timm's small initial values would give flat attention
        torch.nn.init.normal_(block.attn.qkv.weight, std=0.06)
    torch.save(backbone.state_dict(), folder / "dino_deitsmall16_pretrain.pth")
    linear = {"module.linear.weight": head, "module.linear.bias": torch.zeros(1000)}
    torch.save({"epoch": 100, "state_dict": linear}, folder / "dino_deitsmall16_linearweights.pth")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    weights._shared.cache_clear()
    classifiers.resolve_auto.cache_clear()


@pytest.fixture
def installed(carried: Path) -> None:
    weights.install("dino_vits16", carried)


def call(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_carried_files_to_a_table_and_a_film(carried: Path) -> None:
    call("download", "dino_vits16", "--from", str(carried))
    call(
        "evaluate", "--policy", "dino", "--policy", "dino:layer=3,resolution=160", "--policy",
        "random", "--saccades", "3", "--limit", "7", "--out", "out",
    )  # fmt: skip
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["classifier"]["name"] == "dino_vits16", "auto is DINO once it is there"
    assert "dino_deitsmall16_linearweights.pth" in summary["classifier"]["weights"]["source"]
    assert summary["policies"]["dino"]["layer"] == 11
    records = pd.read_parquet("out/records.parquet")
    assert len(records) == 7 * 3 * 3
    scanpaths = records.groupby("policy")[["row", "col"]].apply(lambda frame: frame.to_numpy())
    assert (scanpaths["dino"] != scanpaths["random"]).any()
    call("record", "--policy", "dino", "--saccades", "2", "--out", "film.gif")
    assert Path("film.gif").read_bytes().startswith(b"GIF89a")


@pytest.mark.usefixtures("installed")
def test_the_network_is_loaded_once() -> None:
    classifier: Any = classifiers.create("dino_vits16")
    policy: Any = policies.create("dino", layer=5)
    assert policy._network.backbone is classifier.network.backbone


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("image_size", [(224, 224), (224, 384)], ids=str)
def test_every_layer_and_resolution_on_both_shapes(image_size: tuple[int, int]) -> None:
    source = images.create("sample", images.Preprocess(image_size, mode="squash"))
    classifier: Any = classifiers.create("dino_vits16", image_size=image_size)
    pictures, _ = images.load_batch(source, [0, 6])
    given = classifier.network, pictures, classifier.grid
    maps = [attention_map(*given, layer) for layer in range(12)]
    assert all(tuple(found.shape) == (2, *classifier.grid) for found in maps)
    assert all((a != b).any() for a, b in pairwise(maps))
    for side in (160, 128, 96):
        small = attention_map(*given, resolution=side)
        assert tuple(small.shape) == (2, *classifier.grid)
    result = evaluate(
        [policies.create("dino", grid=classifier.grid)], source, classifier,
        SaccadeConfig(fovea=5, max_saccades=2), limit=2, progress=False,
    )  # fmt: skip
    assert result.records["certainty"].between(0, 1).all()
    env = SaccadeEnv(source, classifier, render_mode="rgb_array", max_saccades=2)
    rendering.record(env, policies.create("dino", grid=classifier.grid), "wide.gif", index=0)


def test_without_weights_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_OFFLINE", "1")
    result = CliRunner().invoke(cli.app, ["evaluate", "--classifier", "dino_vits16"])
    assert result.exit_code == 1
    assert "saccade-env download" in result.output
    assert "Traceback" not in result.output
    assert "dino" not in policies.available()


def test_files_of_another_network_are_refused_and_not_pinned(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "weights_best.pth")
    for _ in range(2):
        result = CliRunner().invoke(cli.app, ["download", "unisal", "--from", str(tmp_path)])
        assert result.exit_code == 1
        assert "not the weights of unisal" in result.output
    assert not weights.is_cached("unisal")
    nowhere = CliRunner().invoke(cli.app, ["download", "unisal", "--from", "nowhere"])
    assert "nowhere is no folder" in nowhere.output


def test_download_all_tries_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_OFFLINE", "1")
    result = CliRunner().invoke(cli.app, ["download", "all"])
    assert result.exit_code == 1
    for name in ("dino_vitb8", "unisal", "resnet50"):
        assert name in result.output


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("wrong", ["layer=99", "resolution=0", "reduction=maxx"])
def test_wrong_policy_parameters_are_one_line(wrong: str) -> None:
    call_ = ["evaluate", "--classifier", "efficientnet_lite0", "--policy", f"dino:{wrong}"]
    result = CliRunner().invoke(cli.app, call_)
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert len(result.output.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_an_evaluation_with_a_kv_cache_says_how_far_it_agrees() -> None:
    name = "dino_vits16:mode=kv_cache,refresh_every=2"
    output = call(
        "evaluate", "--classifier", name, "--policy", "dino", "--policy", "random",
        "--saccades", "3", "--limit", "7", "--no-gif", "--out", "cached",
    )  # fmt: skip
    assert "KV cache: predicts the same as recomputing" in output
    summary = json.loads(Path("cached/summary.json").read_text())
    assert summary["classifier"]["mode"] == "kv_cache"
    assert summary["classifier"]["refresh_every"] == 2
    for agreement in summary["kv_cache_agreement"].values():
        assert agreement["images"] == 7
        assert agreement["same_prediction"][0] == agreement["same_prediction"][2] == 1
        first, second, third = agreement["certainty_difference"]
        assert max(first, third) < 1e-5 < second, "another model between the refreshes"
    exact = evaluate(
        [policies.create("random")], "sample", "dino_vits16", SaccadeConfig(max_saccades=3), limit=7
    )
    records = pd.read_parquet("cached/records.parquet")
    checked = records[records["policy"] == "random"]
    assert checked["recompute_prediction"].tolist() == exact.records["prediction"].tolist()


@pytest.mark.usefixtures("installed")
@pytest.mark.slow
def test_environments_take_the_mode_as_a_keyword() -> None:
    env = SaccadeEnv("sample", "dino_vits16", classifier_mode="kv_cache")
    assert env.card["classifier"]["mode"] == "kv_cache"
    env.reset(seed=0)
    observations = [env.step(action)[4]["certainty"] for action in (30, 60, 90)]
    twin = SaccadeEnv("sample", "dino_vits16:mode=kv_cache,refresh_every=1")
    twin.reset(seed=0)
    exact = [twin.step(action)[4]["certainty"] for action in (30, 60, 90)]
    assert observations[0] == pytest.approx(exact[0], abs=1e-6)
    assert observations[1:] != pytest.approx(exact[1:], abs=1e-7)
    with pytest.raises(ValueError, match="built in another mode"):
        SaccadeEnv("sample", classifiers.create("dino_vits16"), classifier_mode="kv_cache")
