"""What things cost: the paper's programme is counted right, and everything is measured."""

from __future__ import annotations

import subprocess
import sys

import pytest

from saccade_env import images
from saccade_env.bench import costs
from saccade_env.bench.costs import Cost, Load

TINY = "timm:deit_tiny_patch16_224,pretrained=false"


def test_the_papers_programme_is_counted() -> None:
    """Five policies at two foveas; twelve layers at two; three resolutions; sizes; crops."""
    load, each = costs.programme(2000), 2000 * 10
    everyone, layers, resolutions, both = 2 * 5, 2 * 12, 2 * 3, 12 * 3 - 3
    larger = (14 * 24 + 18 * 24) / (14 * 14)
    assert load.settings == everyone + layers + resolutions + both + 3 * 5
    assert load.saccades == pytest.approx(each * (everyone + layers + resolutions + both)
                                          + each * 5 * larger)  # fmt: skip
    assert load.wholes == pytest.approx(2000 * (7 + larger))
    assert load.crops == 2000 * (1 + 5)
    assert load.maps["dino"] == 2000 * (1 + 12 + 36 + 2)
    assert load.maps["random"] == 2000 * 3


def test_time_is_what_the_parts_take() -> None:
    load = Load(1, wholes=10, saccades=100, crops=5, maps={"gbvs": 4, "unknown": 9})
    found = {"dino_vits16": Cost("", 3, 2), "resnet50": Cost("", 7, 0), "gbvs": Cost("", 1, 0)}
    assert load.machine_seconds(found, decode_ms=1) == pytest.approx(
        (10 * (3 + 1) + 100 * 2 + 5 * 7 + 4 * 1) / 1000
    )


@pytest.mark.slow
def test_data_is_measured() -> None:
    found = costs.of_data(images.create("sample"), rows=2)
    assert 10_000 < found["file_bytes"] < 200_000
    assert 1 < found["record_bytes"] < 1000
    assert min(found.values()) > 0


@pytest.mark.slow
def test_the_command_measures_and_reckons() -> None:
    call = [
        *(sys.executable, "-m", "saccade_env.cli", "costs", "--batch-size", "1"),
        *("--classifier", TINY, "--policy", "gbvs", "--policy", "greedy-oracle:stride=7"),
    ]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert TINY in done.stdout
    assert "greedy-oracle:stride=7" in done.stdout
    assert "a record (image × policy × saccade)" in done.stdout
    assert "is reckoned up where dino_vits16 and resnet50 are measured" in done.stdout
