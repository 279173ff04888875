"""What the page can be asked: names out of its own lists alone, and the evaluator's scanpaths."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import evaluation, policies
from saccade_env.app.studio import MOST_POLICIES, SAMPLE, SOURCE, Asked, Studio
from saccade_env.config import SaccadeConfig
from saccade_env.images import BrokenImageError

CONFIG = SaccadeConfig(max_saccades=3)


@pytest.fixture
def studio(sample: Any, linear: Any) -> Studio:
    builds = {name: lambda grid, name=name: policies.create(name, grid=grid)
              for name in ("random", "centre", "gbvs", "greedy-oracle")}  # fmt: skip
    return Studio(sample, {"linear": linear}, builds, CONFIG)


def test_it_watches_what_an_evaluation_records(studio: Studio, sample: Any, linear: Any) -> None:
    result = evaluation.evaluate(
        [policies.create("random"), policies.create("centre")], sample, linear, CONFIG,
        progress=False, batch_size=7, check_labels=False,
    )  # fmt: skip
    records = result.records[result.records["image"] == sample.id(2)]
    asked = Asked(studio.picture(SOURCE, 2, "linear"), "linear", ("centre",), 3, 3)
    for name in ("centre",):
        run = studio.run(asked, name)
        own = records[records["policy"] == name]
        assert run.states[-1].fixations[0].tolist() == own[["row", "col"]].values.tolist()
        certainty = [float(state.certainty[0]) for state in run.states[1:]]
        assert certainty == pytest.approx(own["certainty"].tolist(), abs=1e-5)


def test_a_policy_is_followed_saccade_by_saccade(studio: Studio) -> None:
    asked = Asked(studio.picture(SAMPLE, 2, "linear"), "linear", ("gbvs", "random"), 5, 3)
    assert [len(run.states) for run in studio.running(asked, "gbvs")] == [1, 2, 3, 4]
    runs = [studio.run(asked, name) for name in asked.policies]
    document = studio.scanpaths(asked, runs, studio.whole(asked, runs[0]))
    assert [one["name"] for one in document["policies"]] == ["gbvs", "random"]
    assert (document["fovea"], document["max_saccades"]) == (5, 3)
    assert document["policies"][0]["saliency"] is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policies": ("sb3:/tmp/evil.zip",)}, "unknown policy"),
        ({"policies": ("gbvs:side=3",)}, "unknown policy"),
        ({"policies": ("random",) * (MOST_POLICIES + 1)}, "Choose up to 4 policies; got 5"),
        ({"classifier": "resnet50"}, "unknown classifier"),
        ({"saccades": 0}, "1 to 20 saccades"),
        ({"saccades": 10**9}, "1 to 20 saccades"),
        ({"fovea": 4}, "fovea must be odd"),
        ({"fovea": 99}, "fovea must be odd and ≤ 14"),
    ],
)
def test_only_what_is_offered_can_be_asked_for(studio: Studio, change: Any, said: str) -> None:
    asked = Asked(studio.picture(SAMPLE, 0, "linear"), "linear", ("random",), 3, 3)
    with pytest.raises(ValueError, match=said):
        list(studio.running(changed := asked._replace(**change), changed.policies[0]))


@pytest.mark.parametrize("place", [-1, 7, 10**30, 1.5, "1", None, True])
def test_only_pictures_that_are_there(studio: Studio, place: Any) -> None:
    if place is True:  # a whole number to Python: picture 1, and no harm
        return
    with pytest.raises(ValueError, match="There are pictures 0 to 6"):
        studio.picture(SOURCE, place, "linear")
    with pytest.raises(ValueError, match="unknown source"):
        studio.picture("/etc/passwd", 0, "linear")


def test_an_oracle_refuses_a_picture_without_a_label(studio: Studio) -> None:
    picture = studio.picture(SAMPLE, 0, "linear")._replace(label=None)
    with pytest.raises(ValueError, match="needs to know what is in the picture"):
        studio.run(Asked(picture, "linear", (), 3, 3), "greedy-oracle")


def test_labels_of_the_sources_own_are_not_the_classifiers(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert studio.picture(SOURCE, 1, "linear").label is not None
    monkeypatch.setattr(studio.source, "labels", "own")
    assert studio.picture(SOURCE, 1, "linear").label is None
    assert studio.picture(SAMPLE, 1, "linear").label is not None


def test_everything_is_loaded_once(studio: Studio) -> None:
    assert studio.opened("linear") is studio.opened("linear")
    assert studio.policy("gbvs", "linear") is studio.policy("gbvs", "linear")
    maps = dict(studio.maps(studio.picture(SAMPLE, 0, "linear"), "linear"))
    assert set(maps) == {"random", "centre", "gbvs"}
    assert all(found.shape == (14, 14) for found in maps.values())
    assert torch.equal(maps["gbvs"], studio.policy("gbvs", "linear").maps(
        studio.picture(SAMPLE, 0, "linear").image[None])[0])  # fmt: skip


def test_a_broken_picture_is_an_error_that_names_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, place: int) -> Any:
        raise BrokenImageError("cannot read x")

    monkeypatch.setattr(type(studio.source), "__getitem__", broken)
    with pytest.raises(BrokenImageError):
        studio.picture(SOURCE, 0, "linear")


def test_who_no_longer_listens_keeps_nobody_waiting(studio: Studio) -> None:
    """Two visitors' runs of one policy do not mix, even if one stopped in the middle."""
    asks = [Asked(studio.picture(SAMPLE, place, "linear"), "linear", (), 3, 3) for place in (2, 5)]
    alone = [studio.run(asked, "gbvs").states[-1].fixations.tolist() for asked in asks]
    first = studio.running(asks[0], "gbvs")
    next(first)
    second = studio.run(asks[1], "gbvs")
    *_, last = first
    found = [run.states[-1].fixations.tolist() for run in (last, second)]
    assert found == alone
    assert alone[0] != alone[1]
