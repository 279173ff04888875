"""All experiments in one go: complete, resumable at any point, read again without running."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from saccade_env import images, policies
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.classifiers.weights import WeightsError
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.scanpaths import check_scanpaths
from saccade_env.evaluation import metrics
from saccade_env.evaluation.work import here
from saccade_env.paper import run
from saccade_env.paper.figures import RECIPES, Output
from saccade_env.paper.results import ATTENTION, RANDOM, Results
from saccade_env.paper.settings import PaperSettings
from saccade_env.policies.attention import AttentionPolicy
from saccade_env.registry import parse_spec, read_parameters

pytestmark = pytest.mark.slow  # every experiment or figure, for half a minute

PICTURES = [8, 9, 12, 13]
DINO = ("dino", "focus-saliency", "gbvs", "random", "centre")


def same(left: Results, right: Results) -> None:
    """All that ``left`` holds is in ``right`` too."""
    for name, table in left.records.items():
        pd.testing.assert_frame_equal(table, right.records[name])
        pd.testing.assert_frame_equal(left.settings[name], right.settings[name])
    assert left.roles == right.roles
    assert left.grids.items() <= right.grids.items()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> dict[str, Any]:
    """Filled by the first test: one run that nothing interrupts, for all others to read."""
    return {"out": tmp_path_factory.mktemp("whole") / "out"}


@pytest.fixture
def unbroken(whole: dict[str, Any], settings: Any, make_policy: Any) -> Results:
    if "results" not in whole:
        asked = settings(out=whole["out"], policies=DINO)
        whole["results"] = run.run_paper(asked, make_policy)
    return whole["results"]


def test_results_are_complete(unbroken: Results) -> None:
    images_of = {name: table["image"].nunique() for name, table in unbroken.records.items()}
    assert set(images_of) == {
        "fovea 3", "fovea 5", "layers", "resolutions", "layers and resolutions",
        "unisal 224x384", "unisal 288x384", "crops",
    }  # fmt: skip
    assert set(images_of.values()) == {5}
    for name, table in unbroken.records.items():
        settings = unbroken.settings[name]
        assert set(settings["policy"]) == set(table["policy"])
        assert len(table) == 5 * len(settings) * (1 if name == "crops" else 2)
        assert (table[["row", "col"]].max().to_numpy() < unbroken.grids[name]).all()
    assert unbroken.grids["unisal 288x384"] == (18, 24)
    assert unbroken.settings["fovea 5"]["fovea"].tolist() == [5, 5]
    assert sorted(unbroken.settings["resolutions"]["resolution"]) == [96, 128, 160, 224]
    assert unbroken.roles[ATTENTION] == "dino"
    assert unbroken.run["classifier"]["name"] == "linear"
    assert unbroken.run["weights"] == "random, seed 0"
    assert unbroken.run["paper_setting"] is False
    assert unbroken.run["image_counts"]["layers"] == 5


def test_wide_grids_are_used_to_their_edges(unbroken: Results) -> None:
    wide = unbroken.records["unisal 224x384"]
    assert wide[wide["policy"] == "random"]["col"].max() >= 14


def test_entropies_and_crops(unbroken: Results) -> None:
    entropies, crops = unbroken.entropies(), unbroken.records["crops"]
    entropies = entropies[entropies["policy"].isin(("dino", "random"))]
    assert list(entropies) == ["image", "policy", "entropy"]
    assert len(entropies) == 5 * 2
    assert entropies["entropy"].between(0, 7.62).all()
    table = metrics.entropy_by_first_correct(entropies, unbroken.records["fovea 3"], samples=10)
    assert set(table.index.get_level_values("policy")) == {"dino", "random"}
    assert len(crops) == 5 * len(DINO)
    assert crops["visible_share"].max() == pytest.approx(48 * 48 / (288 * 384))
    assert (crops["correct"] == (crops["prediction"] == crops["label"])).all()
    first = crops["image"].drop_duplicates().tolist()
    assert first == unbroken.records["fovea 3"]["image"].drop_duplicates().tolist()


def test_pictures_come_from_the_sample_alone(unbroken: Results, whole: Any) -> None:
    drawn = unbroken.run["pictures"]
    assert [picture["figure"] for picture in drawn] == PICTURES
    for picture in drawn:
        with Image.open(whole["out"] / picture["png"]) as image:
            assert min(image.size) > 400
        assert (whole["out"] / picture["svg"]).read_text().startswith("<?xml")
        assert picture["alt"].strip()
    assert "military uniform" in drawn[0]["alt"]
    assert ["scanpaths" in picture for picture in drawn] == [True, True, False, False]
    played = json.loads((whole["out"] / drawn[1]["scanpaths"]).read_text(encoding="utf-8"))
    assert [check_scanpaths(document)["picture"][:15] for document in played] == 3 * [
        "data:image/jpeg"
    ]
    shown = [RECIPES[number].section(unbroken, Output(whole["out"])) for number in PICTURES]
    written = (whole["out"] / "report.html").read_text(encoding="utf-8")
    assert written.count("figures/13-layers.png") >= 1
    assert all(section.figures for section in shown)


def test_results_are_read_again_without_running(unbroken: Results, whole: Any) -> None:
    same(run.load_results(whole["out"]), unbroken)
    with pytest.raises(FileNotFoundError, match="holds no results of the paper"):
        run.load_results(whole["out"] / "runs")


class Interrupted:
    """Makes the real policies, of which the n-th batch of all is the last."""

    def __init__(self, make: Any, batches: int) -> None:
        self.make, self.left = make, batches

    def __call__(self, name: str, grid: Any) -> Any:
        policy = self.make(name, grid)
        maps = policy.maps

        def counted(pixels: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return maps(pixels)

        policy.maps = counted
        return policy


def test_an_interrupted_run_goes_on(
    unbroken: Results, settings: Any, make_policy: Any, tmp_path: Path
) -> None:
    """Stopped in the main experiment, the image sizes and the crops."""
    asked = settings(out=tmp_path / "broken", policies=DINO, only=(7, 10))
    stops = 0
    while stops < 20:
        try:
            results = run.run_paper(asked, Interrupted(make_policy, 12))
        except KeyboardInterrupt:
            stops += 1
            assert "crops" not in run.load_results(asked.out).records
        else:
            break
    assert stops >= 3
    assert set(results.records) == {"fovea 3", "unisal 224x384", "unisal 288x384", "crops"}
    same(results, unbroken)


def test_what_is_killed_while_it_ends_is_not_counted_twice(
    unbroken: Results, settings: Any, make_policy: Any, tmp_path: Path
) -> None:
    asked = settings(out=tmp_path / "killed", policies=DINO, only=(7,))
    results = run.run_paper(asked, make_policy)
    home = asked.out / "runs" / "fovea-3"
    (home / "parts").mkdir(exist_ok=True)
    shutil.copy(home / "records.parquet", home / f"parts/{'a' * 32}.parquet")
    assert not run.load_results(asked.out).records
    again = run.run_paper(asked, make_policy)
    pd.testing.assert_frame_equal(again.records["fovea 3"], results.records["fovea 3"])
    pd.testing.assert_frame_equal(again.records["fovea 3"], unbroken.records["fovea 3"])


def test_figures_may_be_asked_for_one_after_the_other(
    settings: Any, make_policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run.run_paper(settings(only=(4, 12)), make_policy)
    assert set(first.records) == {"fovea 3"}
    both = run.run_paper(settings(only=(3,)), make_policy)
    assert set(both.records) == {"fovea 3", "fovea 5"}
    assert [picture["figure"] for picture in both.run["pictures"]] == [12]
    assert both.figures == (3, 4, 12), "the report shows what was made before, too"
    pd.testing.assert_frame_equal(first.records["fovea 3"], both.records["fovea 3"])


def test_broken_images_raise_or_are_left_out(
    settings: Any, make_policy: Any, tmp_path: Path
) -> None:
    for name in ("n02123045", "n03763968"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for place in range(2):
            picture = Image.new("RGB", (300, 240), (90 * place, 120, 30))
            picture.save(tmp_path / "pictures" / name / f"{place}.png")
    (tmp_path / "pictures" / "n03763968" / "1.png").write_bytes(b"no picture")
    changes = {"images": tmp_path / "pictures", "only": (7, 10), "policies": ("random", "dino")}
    with pytest.raises(images.BrokenImageError, match="1.png"):
        run.run_paper(settings(**changes), make_policy)
    results = run.run_paper(settings(**changes, on_error="skip"), make_policy)
    assert {name: table["image"].nunique() for name, table in results.records.items()} == {
        "fovea 3": 3, "unisal 224x384": 3, "unisal 288x384": 3, "crops": 3
    }  # fmt: skip
    assert results.roles == {ATTENTION: "dino", RANDOM: "random"}


@pytest.mark.slow
def test_the_offline_pair_on_the_sample(tmp_path: Path) -> None:
    """EfficientNet-Lite0 and the Focus ViT, as they are used without the network."""
    asked = PaperSettings(
        "sample",
        tmp_path,
        classifier="efficientnet_lite0",
        limit=2,
        only=(3, 6, 10, 11),  # layers and resolutions combined take as long as all these together
        progress=False,
        config=SaccadeConfig(max_saccades=2),
    )
    results = run.run_paper(asked, lambda name, grid: policies.create(name, grid=grid))
    assert len(results.settings["layers"]) == 12
    assert set(results.records) == {
        "fovea 3", "fovea 5", "layers", "resolutions", "unisal 224x384", "unisal 288x384", "crops",
    }  # fmt: skip
    assert results.settings["resolutions"]["tokens"].tolist() == [16, 10, 8, 6]


@pytest.mark.slow
def test_the_papers_own_path_with_a_small_dino(settings: Any, make_policy: Any) -> None:
    """Random weights: classifier and policy share the network, at every size and resolution."""
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(
            patch_size=16, embed_dim=48, depth=5, num_heads=4, num_classes=0
        )
        head = {"linear.weight": torch.randn(1000, 192), "linear.bias": torch.zeros(1000)}

    def classifier(image_size: tuple[int, int]) -> VitClassifier:
        return from_state_dicts(
            network.state_dict(), head, num_heads=4, name="dino_small", image_size=image_size
        )

    shared = classifier((224, 224)).network

    def make(name: str, grid: tuple[int, int]) -> Any:
        base, parameters = parse_spec(name)
        if base == "unisal":
            raise WeightsError("no network here")
        if base != "dino":
            return make_policy(name, grid)
        return AttentionPolicy(
            shared, grid=grid, **read_parameters(AttentionPolicy, parameters, base)
        )

    results = run.run_paper(settings(classifier=classifier, limit=2), make)
    assert results.roles == {
        ATTENTION: "dino", "deep saliency": "focus-saliency", "classical saliency": "gbvs",
        RANDOM: "random", "centre": "centre",
    }  # fmt: skip
    assert any("unisal, for deep saliency, is not to be had" in n for n in results.run["notes"])
    assert len(results.settings["layers and resolutions"]) == 5 * 4
    maps, classifier = results.run["flops"]["maps"], results.run["flops"]["classifier"]
    assert set(maps) == set(results.settings["layers and resolutions"]["policy"])
    assert classifier == sorted(classifier)
    assert maps["dino:layer=0,resolution=96"] < maps["dino:layer=4"] < classifier[-1]
    assert (results.folder / "figures/figure-18.svg").exists()
    assert len(pd.read_csv(results.folder / "tables/figure-18.csv")) == (5 * 4 + 2) * 2
    assert len(results.records) == 8


KILLED = """
import sys
from saccade_env import SaccadeConfig, policies
from saccade_env.paper.run import run_paper
from saccade_env.paper.settings import PaperSettings
asked = PaperSettings("sample", sys.argv[1], classifier="efficientnet_lite0", only=(7, 10),
                      policies=("gbvs", "random"), config=SaccadeConfig(max_saccades=2),
                      batch_size=1, limit=5, progress=False)
run_paper(asked, lambda name, grid: policies.create(name, grid=grid))
"""


@pytest.mark.slow
def test_a_run_killed_three_times_ends_with_the_same_tables(tmp_path: Path) -> None:
    call, out = [sys.executable, "-c", KILLED], tmp_path / "killed"
    for kill in range(3):
        process = subprocess.Popen([*call, str(out)], stdout=subprocess.DEVNULL)
        begin, deadline = len(list(out.rglob("*.parquet"))), time.monotonic() + 60
        while len(list(out.rglob("*.parquet"))) == begin and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05 * kill)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for folder in (out, tmp_path / "whole"):
        subprocess.run([*call, str(folder)], check=True, capture_output=True)
    same(run.load_results(out), run.load_results(tmp_path / "whole"))


@pytest.mark.slow
def test_an_engine_does_all_of_it(settings: Any, make_policy: Any, tmp_path: Path) -> None:
    """What tests of engines show of an evaluation is so of the paper's, which are handed over."""
    done = []

    def engine(work: Any, items: Any, tell: Any) -> Any:
        done.append(len(items))
        return here(work, items, tell)

    few = {"only": (3,), "policies": ("random", "centre"), "batch_size": 2}
    run.run_paper(settings(out=tmp_path / "plain", **few), make_policy)
    run.run_paper(settings(out=tmp_path / "engine", engine=engine, **few), make_policy)
    same(run.load_results(tmp_path / "engine"), run.load_results(tmp_path / "plain"))
    assert len(done) == 2, "both foveas"
    assert min(done) > 1
