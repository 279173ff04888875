"""Scanpaths as plain data say what the states say, and other data is refused."""

from __future__ import annotations

import base64
import copy
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from saccade_env import core
from saccade_env.drawing.scanpaths import Run, check_scanpaths, scanpaths

from .conftest import CONFIG, NAMES, PATHS


@pytest.fixture(scope="module")
def document(runs: list[Run]) -> dict[str, Any]:
    return scanpaths(runs, CONFIG, NAMES, full=torch.arange(7.0), title="T", classifier="linear")


@pytest.mark.parametrize("row", [0, 1])
def test_every_saccade_is_that_of_the_states(runs: list[Run], row: int) -> None:
    document = check_scanpaths(scanpaths(runs, CONFIG, NAMES, row=row))
    for run, policy, made in zip(runs, document["policies"], (6, 2), strict=True):
        assert len(policy["saccades"]) == 1 + made, "one that stopped ends there"
        seen: set[int] = set()
        for number, one in enumerate(policy["saccades"]):
            state = run.states[number]
            path = [token if row == 0 else 195 - token for token in PATHS[run.name]]
            fixation = [path[number - 1] // 14, path[number - 1] % 14] if number else None
            assert one["fixation"] == fixation
            assert not seen & set(one["reveals"]), "what was revealed is not revealed again"
            seen |= set(one["reveals"])
            revealed = state.revealed[row].flatten()
            assert seen == {token for token in range(196) if revealed[token]}
            assert one["visible_share"] == pytest.approx(len(seen) / 196, abs=1e-4)
            assert one["certainty"] == pytest.approx(float(state.certainty[row]), abs=1e-4)
            weights = np.exp(state.logits[row].double().numpy())
            order = np.argsort(-weights, kind="stable")[:5]
            assert [name for name, _ in one["top5"]] == [NAMES[n].split(",")[0] for n in order]
            shares = [share for _, share in one["top5"]]
            assert shares == pytest.approx((weights / weights.sum())[order], abs=1e-4)
            assert one["right"] is (None if row else bool(order[0] == 1))


def test_what_is_known_of_the_whole(document: dict[str, Any], runs: list[Run]) -> None:
    assert (document["format"], document["version"]) == ("saccade-env/scanpaths", 1)
    assert (document["grid"], document["fovea"], document["max_saccades"]) == ([14, 14], 5, 6)
    assert document["label"] == "espresso"
    assert scanpaths(runs, CONFIG, NAMES, row=1)["label"] is None
    assert document["full"]["top5"][0] == ["g", pytest.approx(0.6321, abs=1e-3)]
    certainty = float(core.certainty(torch.arange(7.0)[None]))
    assert document["full"]["certainty"] == pytest.approx(certainty, abs=1e-4)
    saliency = document["policies"][0]["saliency"]
    assert (saliency[0], saliency[98], saliency[-1]) == (0, 128, 255)
    assert document["policies"][1]["saliency"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_picture_is_within_or_referred_to(document: dict[str, Any], runs: list[Run]) -> None:
    kind, data = document["picture"].split(",")
    assert kind == "data:image/jpeg;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=float)
    image = runs[0].states[0].images[0].permute(1, 2, 0).numpy()
    assert pixels.shape == image.shape
    assert np.abs(pixels - image).mean() < 4
    for picture in ("https://example.org/a.jpg", None):
        assert scanpaths(runs, CONFIG, picture=picture)["picture"] == picture


def test_a_flat_map_and_numbers_in_place_of_names(runs: list[Run]) -> None:
    flat = runs[0]._replace(saliency=torch.ones(14, 14))
    policy = check_scanpaths(scanpaths([flat], CONFIG))["policies"][0]
    assert set(policy["saliency"]) == {0}
    assert policy["saccades"][0]["top5"][0][0] == "class 0"


def test_nothing_to_show_is_refused(runs: list[Run]) -> None:
    for none in ([], [runs[0]._replace(states=[])]):
        with pytest.raises(ValueError, match="at least one run, each with at least one state"):
            scanpaths(none, CONFIG)


DAMAGE: dict[str, tuple[Callable[[Any], object], str]] = {
    "format": (lambda d: d.update(format="else"), "of format 'saccade-env/scanpaths'"),
    "version": (lambda d: d.update(version=2), "of version 1; got 2"),
    "grid": (
        lambda d: d.update(grid=[14, 0]),
        r"^grid of .* \[rows, cols\], each 1 to 1000; got \[14, 0\]",
    ),
    "fovea": (lambda d: d.update(fovea=4), "^fovea of the scanpaths must be odd; got 4"),
    "budget": (lambda d: d.update(max_saccades=True), "^max_saccades"),
    "title": (lambda d: d.update(title=None), "^title of the scanpaths must be text; got None"),
    "picture": (lambda d: d.update(picture=3), "^picture of .* text or null; got 3"),
    "full": (lambda d: d["full"].update(certainty=2), "^full.certainty .* from 0 to 1; got 2"),
    "no policies": (lambda d: d.update(policies=[]), "^policies"),
    "policy": (lambda d: d.update(policies=["a"]), r"^policies\[0\] .* an object; got 'a'"),
    "sees": (lambda d: d["policies"][1].pop("sees"), r"^policies\[1\].sees"),
    "map": (lambda d: d["policies"][0]["saliency"].pop(), "196 whole numbers from 0 to 255"),
    "first": (lambda d: d["policies"][0]["saccades"].pop(0), r"saccades\[0\].fixation .* null"),
    "place": (
        lambda d: d["policies"][0]["saccades"][1].update(fixation=[14, 0]),
        r"^policies\[0\].saccades\[1\].fixation .* on a grid of \[14, 14\]; got \[14, 0\]",
    ),
    "token": (lambda d: d["policies"][0]["saccades"][1].update(reveals=[196]), "from 0 to 195"),
    "share": (lambda d: d["policies"][0]["saccades"][1].update(visible_share="a"), "got 'a'"),
    "right": (lambda d: d["policies"][0]["saccades"][1].update(right=1), "true, false or null"),
    "class": (
        lambda d: d["policies"][0]["saccades"][1].update(top5=[["a"]]),
        r"top5 .* a list of \[class, probability\]",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(document: dict[str, Any], what: str) -> None:
    damage, message = DAMAGE[what]
    damaged = copy.deepcopy(check_scanpaths(document))
    damage(damaged)
    with pytest.raises(ValueError, match=message):
        check_scanpaths(damaged)


@pytest.mark.parametrize("other", [None, [], "text", {}, 3])
def test_what_is_no_document_is_refused(other: Any) -> None:
    with pytest.raises(ValueError, match="must be a JSON object of format"):
        check_scanpaths(other)
