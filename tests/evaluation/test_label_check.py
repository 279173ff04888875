"""Labels in another order than the classifier's are found out, and named."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from saccade_env import evaluate, images, policies
from saccade_env.cli import app
from saccade_env.evaluation import label_check
from saccade_env.images.classes import synset_ids_imagenet
from saccade_env.images.labels import NUMBERED, order

ORDERS = ["ilsvrc-ids", "ilsvrc-ids-from-0", "text-sorted"]


@pytest.mark.parametrize("given", NUMBERED)
@pytest.mark.parametrize("meant", NUMBERED)
def test_the_order_that_numbers_are_meant_in_is_named(given, meant):
    classes = np.random.default_rng(0).permutation(900)[:64] + 1
    number = {index: number for number, index in order(meant).items()}
    known = order(given)
    kept = [index for index in classes.tolist() if number[index] in known]
    labels = np.array([known[number[index]] for index in kept])
    found = label_check.check(labels, np.array(kept), np.full(len(kept), 0.8), given)
    assert found.best == meant
    assert found.accuracy[meant] == 1
    assert (f"--labels {meant}" in found.verdict) == (given != meant)


def test_synset_folders_that_were_sorted_by_another_order():
    known = order("ilsvrc-ids-from-0")
    labels = np.arange(64)
    classes = np.array([known[label] for label in labels.tolist()])
    found = label_check.check(labels, classes, np.full(64, 0.8), "synsets")
    assert found.best == "ilsvrc-ids-from-0"
    assert "whoever gave them these labels" in found.verdict


@pytest.mark.parametrize(
    ("right", "certainty", "count", "at_chance"),
    [(0, 0.8, 64, True), (0, 0.1, 64, False), (10, 0.8, 64, False), (0, 0.8, 8, False)],
)
def test_only_a_sure_classifier_at_chance_tells(right, certainty, count, at_chance):
    labels = np.arange(count)
    guesses = np.where(labels < right, labels, labels + 500)
    found = label_check.check(labels, guesses, np.full(count, certainty), "class-indices")
    assert found.at_chance == bool(found.verdict) == at_chance


@pytest.fixture(scope="module")
def rearranged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real pictures in folders of numbers, a tree for each wrong order."""
    root, synsets = tmp_path_factory.mktemp("rearranged"), synset_ids_imagenet()
    for name in ORDERS:
        number = {index: number for number, index in order(name).items()}
        (root / name).mkdir()
        for folder in (path for path in images.SAMPLE.iterdir() if path.is_dir()):
            (root / name / str(number[synsets.index(folder.name)])).symlink_to(folder)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDERS)
def test_wrong_orders_of_real_pictures_are_named(rearranged, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec, options = str(rearranged / name), ["--classifier", "efficientnet_lite0"]
    said = CliRunner().invoke(app, ["images", spec, *options, "--labels", name])
    assert said.exit_code == 0, said.output
    assert "--labels" not in said.output
    wrong = "class-indices-from-1" if name == "ilsvrc-ids" else "class-indices"
    said = CliRunner().invoke(app, ["images", spec, *options, "--labels", wrong])
    assert f"pass --labels {name} " in said.output
    source = images.create(spec, labels=wrong)
    with pytest.warns(label_check.LabelWarning, match=f"if they are read as {name} "):
        evaluate([policies.create("centre")], source, options[1], limit=20, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = images.create(spec, labels=name)
        evaluate([policies.create("centre")], source, options[1], limit=20, progress=False)


def test_images_describes_the_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["images", "sample", "--no-check"])
    assert said.exit_code == 0, said.output
    for words in ("class folders, labels: synsets", "classes: ", "sizes: ", "cannot be read: 0 of"):
        assert words in said.output
    assert (tmp_path / "saccade-runs" / "sample.png").stat().st_size > 10_000


def test_images_tries_out_what_is_ambiguous_and_names_what_is_broken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "7").mkdir(parents=True)
    picture = next(images.SAMPLE.glob("*/*.jpg"))
    (tmp_path / "mine" / "7" / "a.jpg").symlink_to(picture)
    (tmp_path / "mine" / "7" / "b.jpg").write_bytes(picture.read_bytes()[:100])
    said = CliRunner().invoke(app, ["images", "mine", "--classifier", "efficientnet_lite0"])
    assert said.exit_code == 0, said.output
    for words in ("cannot be read: 1 of 2", "b.jpg", "too few", "ilsvrc-ids-from-0"):
        assert words in said.output
