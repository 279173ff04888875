"""Ray as the engine: the same records as without, whatever dies meanwhile.

Ray's processes are many, so all this runs in processes of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from timeless import timeless

from saccade_env import images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs Ray (extra ray)"),
]
HERE = Path(__file__).parent
SAME = ("records.parquet", "summary.json", "figures/accuracy.png")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "saccade_env.cli", *words]


def evaluate(images_: Path | str, out: Path, *more: str) -> list[str]:
    return command(
        "evaluate", "--images", str(images_), "--classifier", "efficientnet_lite0", "--no-gif",
        "--policy", "random", "--policy", "centre", "--batch-size", "4", "--out", str(out), *more,
    )  # fmt: skip


def run(words: list[str]) -> str:
    found = subprocess.run(words, capture_output=True, text=True, timeout=400)
    assert found.returncode == 0, found.stderr
    return found.stdout


def same(left: Path, right: Path) -> None:
    for name in SAME:
        assert timeless(left / name) == timeless(right / name), name


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-eight pictures: the sample twice."""
    root = tmp_path_factory.mktemp("many") / "pictures"
    for path in images.SAMPLE.glob("*/*.jpg"):
        (root / path.parent.name).mkdir(parents=True)
        for name in "ab":  # a link that leads to a picture once more would be left out
            shutil.copy(path, root / path.parent.name / f"{name}.jpg")
    return root


@pytest.fixture(scope="module")
def plain(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images without Ray."""
    out = tmp_path_factory.mktemp("plain")
    run(evaluate(many, out, "--limit", "40"))
    return out


def test_a_node_is_killed_while_it_works(plain: Path, many: Path, tmp_path: Path) -> None:
    """Two nodes of one processor each: none starves, and what the dead one was at is done."""
    words = [str(many), str(tmp_path)]
    said = run([sys.executable, str(HERE / "two_nodes.py"), *words])
    assert "killed a node after" in said, said
    same(tmp_path, plain)


def test_the_driver_is_killed_and_goes_on(plain: Path, many: Path, tmp_path: Path) -> None:
    call = evaluate(many, tmp_path, "--limit", "40", "--engine", "ray")
    process = subprocess.Popen(call, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while len(kept := list((tmp_path / "parts").glob("*.parquet"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= len(kept) < 10
    run(call)
    same(tmp_path, plain)


def test_what_goes_wrong_in_workers_is_the_users(tmp_path: Path) -> None:
    said = run([sys.executable, str(HERE / "bad_work.py"), str(tmp_path / "pictures")])
    assert "broken: BrokenImageError" in said, said
    assert "2.jpg" in said, said
    assert "left out: 1" in said, said
    assert "exits: RuntimeError SystemExit(3)" in said, said
    assert "odd: RuntimeError OddError('a', 'b')" in said, said
    assert "held: ValueError the engine 'ray' cannot send" in said, said
    call = evaluate("sample", tmp_path, "--engine", "ray", "--address", "127.0.0.1:1")
    found = subprocess.run(call, capture_output=True, text=True, timeout=100)
    assert "error: there is no Ray cluster at 127.0.0.1:1" in found.stderr


def test_demonstrations_are_the_same(tmp_path: Path) -> None:
    train = command(
        "train", "--images", "sample", "--classifier", "efficientnet_lite0", "--timesteps", "8",
        "--n-envs", "2", "--saccades", "3", "--warm-start", "greedy-oracle:stride=5",
        "--warm-start-steps", "6", "--set", "warm-start.asked=0.5", "--set", "n_steps=4",
        "--set", "batch_size=8", "--out",
    )  # fmt: skip
    run([*train, str(tmp_path / "plain")])
    run([*train, str(tmp_path / "ray"), "--engine", "ray"])
    folders = [sorted((tmp_path / n / "demonstrations").glob("*.npz")) for n in ("plain", "ray")]
    assert len(folders[0]) >= 1
    for left, right in zip(*folders, strict=True):
        assert left.read_bytes() == right.read_bytes()
