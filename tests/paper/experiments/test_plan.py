"""The plan: what is run on which images, what it costs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from saccade_env import images
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights_table import TABLE, members
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate
from saccade_env.images.derived import Subset
from saccade_env.paper import programme as programmes
from saccade_env.paper import run
from saccade_env.paper.figures import RECIPES
from saccade_env.paper.plan import make_plan
from saccade_env.paper.programme import Cast
from saccade_env.paper.results import ATTENTION, CENTRE, CLASSICAL, DEEP, PAPERS, RANDOM
from saccade_env.paper.settings import PaperSettings

DINO = ("dino", "gbvs", "random", "centre")


@pytest.fixture
def built(settings: Any, make_policy: Any) -> Any:
    """Prepares what these changes of the settings ask for."""
    return lambda **changes: run.prepare(settings(**changes), make_policy)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes with 12, 4 and 1 pictures."""
    for name, count in (("n02123045", 12), ("n03763968", 4), ("n03773504", 1)):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for place in range(count):
            colour = (place * 20, 90, 200 - place * 10)
            Image.new("RGB", (40, 30), colour).save(tmp_path / f"classes/{name}/{place:02d}.png")
    return tmp_path / "classes"


def test_without_dinos_weights_others_stand_for_the_papers_networks(built: Any) -> None:
    programme = built()
    assert programme.cast.roles == {
        ATTENTION: "focus-attention", DEEP: "focus-saliency", CLASSICAL: "gbvs", RANDOM: "random",
        CENTRE: "centre",
    }  # fmt: skip
    assert not programme.cast.papers_networks
    assert "resolutions" not in programme.runs
    assert any("resolutions are left out" in note for note in programme.cast.notes)


def test_the_papers_setting_has_the_published_weights(settings: Any) -> None:
    def setting(dino: str) -> bool:
        sources = {"dino": dino, "unisal": TABLE["unisal"].url}

        def networks(name: str, grid: Any = None) -> Any:
            return SimpleNamespace(name=name, weights=Weights(sources.get(name, dino), "-"))

        asked = settings(
            classifier=lambda size: SimpleNamespace(
                name="dino_vits16", weights=Weights(dino, "-"), grid=(14, 14), options={}
            ),
            crop_classifier=SimpleNamespace(
                name="resnet50", weights=Weights(TABLE["resnet50"].url, "-")
            ),
        )
        return Cast(asked, networks, (224, 224), roles=dict(PAPERS)).papers_networks

    assert setting(" + ".join(file.url for file in members("dino_vits16")))
    assert not setting("random, seed 0")
    assert not setting(TABLE["dino_deitsmall16-backbone"].url), "with a head of one's own"


def test_with_dino_there_is_everything(built: Any) -> None:
    programme = built(policies=DINO, preset="full")
    assert {n for recipe in RECIPES.values() for n in recipe.experiments} <= set(programme.runs)
    assert programme.cast.roles[ATTENTION] == "dino"
    assert DEEP not in programme.cast.roles
    assert len(programme.runs["layers"].policies) == 3
    assert programme.runs["resolutions"].policies == (
        "dino:layer=2,resolution=160", "dino:layer=2,resolution=128", "dino:layer=2,resolution=96"
    )  # fmt: skip
    both = programme.runs["layers and resolutions"]
    found = {(row["layer"], row["resolution"]) for row in both.settings}
    assert found == {(k, side) for k in range(3) for side in (224, 160, 128, 96)}
    runs = [both, *(programme.runs[name] for name in both.others)]
    assert sum(len(each.policies) for each in runs) == 12, "each map once"


def test_counts(built: Any) -> None:
    lines = {line.run.name: line for line in make_plan(built(policies=DINO))}
    assert lines["fovea 3"].forwards == 5 * (4 * 2 + 1)
    assert lines["fovea 5"].run.policies == ("dino", "random")
    assert lines["layers"].forwards == 5 * (3 * 2 + 1)
    assert lines["crops"].forwards == 5 * (4 + 1)
    assert lines["unisal 224x384"].run.config.grid == (14, 24)
    assert lines["unisal 288x384"].run.config.grid == (18, 24)
    assert all(line.seconds > 0 for line in lines.values())
    full = built(policies=DINO, preset="full")
    assert full.runs["fovea 5"].policies == DINO
    assert full.runs["layers fovea 5"].settings[0]["fovea"] == 5
    assert [row["tokens"] for row in full.runs["resolutions fovea 5"].settings] == [
        14, 10, 8, 6
    ]  # fmt: skip
    assert "layers fovea 5" not in built(policies=DINO).runs


def test_only_picks_the_experiments_of_figures(built: Any) -> None:
    def names(*only: int) -> list[str]:
        programme = built(policies=DINO, only=only)
        return [each.name for each in programme.needed(programme.settings.experiments)]

    assert names(4) == ["fovea 3"]
    assert names(7) == ["fovea 3"]
    assert names(6) == ["fovea 3", "layers", "resolutions"]
    assert names(10, 3) == ["fovea 3", "fovea 5", "unisal 224x384", "unisal 288x384", "crops"]
    assert names(8, 12) == []
    assert names(*RECIPES) == list(built(policies=DINO).runs)


def test_balanced_subset_is_seeded_and_balanced(folder: Path) -> None:
    source = images.create(folder)
    everything = range(len(source))
    chosen = programmes.balanced(source, everything, seed=0)
    assert programmes.class_sizes(source, chosen) == (3, 1, 10)
    assert chosen == sorted(set(chosen)) == programmes.balanced(source, everything, seed=0)
    assert chosen != programmes.balanced(source, everything, seed=1)
    two = programmes.balanced(source, everything, seed=0, per_class=2)
    assert programmes.class_sizes(source, two) == (3, 1, 2)
    decoded = Subset(source, chosen)  # another source than a folder shows its labels
    assert programmes.class_sizes(decoded, range(len(decoded))) == (3, 1, 10)


@pytest.mark.filterwarnings("ignore::saccade_env.evaluation.label_check.LabelWarning")  # untrained
def test_smaller_experiments_lie_in_the_main_one(built: Any, folder: Path) -> None:
    programme = built(images=folder, limit=8)
    runs = programme.runs
    main = runs["fovea 3"].source
    there = {main.id(i) for i in range(len(main))}
    assert len(there) == 8
    for each in runs.values():
        assert {each.source.id(i) for i in range(len(each.source))} <= there
        assert each.source.id(0) == each.source[0].id
    assert runs["unisal 288x384"].source[0].image.shape == (3, 288, 384)
    whole = built(images=folder, limit=None)
    assert whole.runs
    note = next(note for note in whole.cast.notes if "UNISAL" in note)
    assert "15 images of 3 classes, 1 to 10 of each" in note


def test_a_subset_is_told_from_its_source(sample: Any) -> None:
    few, others = (Subset(sample, some) for some in ([0, 2], [0, 3]))
    assert len({sample.identity, few.identity, others.identity}) == 3
    assert few.id(1) == sample.id(2)
    wide = programmes.resized(few, (224, 384))
    assert wide[1].image.shape == (3, 224, 384)
    assert wide[1].id == sample.id(2)


def test_extra_policies_run_in_the_main_experiments(built: Any) -> None:
    programme = built(policies=("random", "dino", "dino:layer=1", "focus-attention"))
    assert programme.cast.extras == ["dino:layer=1", "focus-attention"]
    assert programme.cast.roles == {ATTENTION: "dino", RANDOM: "random"}
    assert len(programme.runs["fovea 5"].policies) == 4
    assert programme.runs["crops"].policies == ("dino", "random")


def test_a_built_classifier_judges_its_own_size_alone(built: Any, linear: Any) -> None:
    programme = built(classifier=linear)
    assert "unisal 224x384" not in programme.runs
    assert "crops" in programme.runs
    assert any("unisal 288x384 is left out" in note for note in programme.cast.notes)


def test_a_dry_run_prints_and_stops(
    settings: Any, make_policy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run.run_paper(settings(dry_run=True, only=(3, 10)), make_policy)
    printed = capsys.readouterr().out
    assert "fovea 5" in printed
    assert "14×24" in printed
    assert "left" in printed
    assert not results.records
    assert results.roles[RANDOM] == "random"
    assert not Path(settings().out).exists()
    run.run_paper(settings(only=(12,)), make_policy)
    with pytest.raises(FileExistsError, match="holds another run, with other seed"):
        run.run_paper(settings(dry_run=True, seed=1), make_policy)


def test_errors_say_what_is_wrong(built: Any, settings: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no figure 2 to make. Known: 3, 4, 5, 6"):
        settings(only=(3, 2))
    with pytest.raises(ValueError, match="unknown preset 'quik'. Did you mean 'quick'"):
        settings(preset="quik")
    with pytest.raises(ValueError, match="device 'cuda:9' cannot be used"):
        built(device="cuda:9")
    for wrong in (
        {"limit": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"workers": -1},
        {"on_error": "x"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings(**wrong)
    with pytest.raises(ValueError, match="unknown policy 'rnadom'. Did you mean 'random'"):
        built(policies=("rnadom",))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="the paper's analyses need labels"):
        built(images=tmp_path)


@pytest.mark.filterwarnings("ignore:.*is no ImageNet-1k synset")
def test_classes_of_ones_own_need_a_classifier_of_ones_own(built: Any, tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "cats/a.png")
    with pytest.raises(ValueError, match="classes of its own, which 'efficientnet_lite0' does not"):
        built(images=tmp_path, classifier="efficientnet_lite0")
    assert built(images=tmp_path).runs


def test_the_command_can_be_given_again() -> None:
    asked = PaperSettings("pictures", "out", only=(3, 10), limit=4, policies=("dino:layer=5",))
    assert asked.command == (
        "saccade-env paper --images pictures --out out --only 3,10 --limit 4 "
        "--policies dino:layer=5"
    )


def test_an_evaluation_tells_what_is_freshly_finished(
    sample: Any, linear: Any, make_policy: Any, tmp_path: Path
) -> None:
    told: list[int] = []
    both = [make_policy(name, (14, 14)) for name in ("random", "centre")]
    for _ in range(2):  # the second time there is nothing left to do
        evaluate(both, sample, linear, SaccadeConfig(max_saccades=1), batch_size=4, out=tmp_path,
                 progress=False, progressed=told.append)  # fmt: skip
    assert [count for count in told if count] == [4, 4, 3, 3]
