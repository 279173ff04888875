"""Pictures read ahead: in order, bounded, and without a trace in what is drawn."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saccade_env import SaccadeVectorEnv
from saccade_env.images import BrokenImageError, feeding


class Counting:
    """A source that counts what is read, and breaks where told."""

    def __init__(self, sample: Any, count: int = 40, broken: tuple[int, ...] = ()) -> None:
        self._sample, self._count, self._broken = sample, count, broken
        self.name, self.image_size, self.labels = "counting", sample.image_size, "imagenet"
        self.identity, self.class_names = "-", sample.class_names
        self.preprocess = sample.preprocess
        self.description = sample.description
        self.read: list[int] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Any:
        self.read.append(i)
        self.threads.add(threading.current_thread().name)
        if i in self._broken:
            raise BrokenImageError(f"picture {i} is broken")
        return self._sample[i % 7]._replace(id=self.id(i))

    def id(self, i: int) -> str:
        return f"picture-{i}"


def ids(source: Any, **keywords: Any) -> list[list[str]]:
    chunks = feeding.chunked(range(40), keywords.pop("size", 6))
    options = {"chunks": chunks, "on_error": "raise", "workers": 3, **keywords}
    return [[picture.id for picture in b.pictures] for b in feeding.batches(source, **options)]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_batches_come_in_order(sample: Any, workers: int) -> None:
    found = ids(Counting(sample), workers=workers)
    assert [len(batch) for batch in found] == [6, 6, 6, 6, 6, 6, 4]
    assert [id for batch in found for id in batch] == [f"picture-{i}" for i in range(40)]


def test_what_is_read_ahead_is_bounded(sample: Any, monkeypatch: Any) -> None:
    asked: list[int] = []

    class Pool(ThreadPoolExecutor):
        def submit(self, read: Any, index: int) -> Any:
            asked.append(index)
            return super().submit(read, index)

    monkeypatch.setattr(feeding, "ThreadPoolExecutor", Pool)
    source = Counting(sample)
    stream = feeding.batches(source, feeding.chunked(range(40), 5), "raise", 2)
    next(stream)
    assert asked == list(range(15)), "this batch and two more"
    stream.close()
    assert len(asked) == 15
    assert {*range(5)} <= {*source.read} <= {*range(15)}


def test_a_broken_picture_is_named_or_counted(sample: Any) -> None:
    source = Counting(sample, broken=(3, 8))
    with pytest.raises(BrokenImageError, match="picture 3 is broken"):
        ids(source)
    batches = list(feeding.batches(source, feeding.chunked(range(12), 6), "skip", 2))
    assert [len(batch.pictures) for batch in batches] == [5, 5]
    assert batches[1].broken == [{"image": "picture-8", "reason": "picture 8 is broken"}]


def run(env: SaccadeVectorEnv, steps: int) -> list[list[int]]:
    return [env.step([5, 50, 100])[4]["label"].tolist() for _ in range(steps)]


def build(source: Any, linear: Any, workers: int, **keywords: Any) -> SaccadeVectorEnv:
    return SaccadeVectorEnv(
        3, workers=workers, images=source, classifier=linear, max_saccades=2, **keywords
    )


@pytest.mark.parametrize("broken", [(), (2, 3, 5, 30)])
def test_rows_draw_the_same_with_and_without(sample: Any, linear: Any, broken: Any) -> None:
    drawn = []
    for workers in (0, 1, 3):
        source = Counting(sample, broken=broken)
        env = build(source, linear, workers, on_error="skip")
        found: list[Any] = []
        with pytest.warns(UserWarning, match="skipped") if broken else nullcontext():
            env.reset(seed=7)
            found.append(run(env, 7))
            env.reset()  # goes on with the generators as they are
            found.append(run(env, 3))
            env.reset(options={"index": [0, None, 4]})
            found.append(run(env, 5))
            env.np_random[1].integers(10)  # somebody else draws: what was read ahead is dropped
            found.append(run(env, 5))
            env.reset(seed=[1, None, 2])
            found.append(run(env, 5))
        states = [generator.bit_generator.state for generator in env.np_random]
        drawn.append((found, states))
        assert (source.threads == {"MainThread"}) == (workers == 0)
        env.close()
    assert drawn[0] == drawn[1] == drawn[2]


def test_an_error_does_not_come_again_with_the_next_draw(sample: Any, linear: Any) -> None:
    failed = []
    for workers in (0, 2):
        env = SaccadeVectorEnv(
            1, workers=workers, images=Counting(sample, 4, broken=(2,)), classifier=linear
        )
        failed.append([])
        for place in range(40):
            try:
                env.reset(seed=5 if place == 0 else None)
            except BrokenImageError:
                failed[-1].append(place)
        env.close()
    assert failed[0] == failed[1]
    assert 0 < len(failed[0]) < 30


def test_what_is_read_ahead_and_not_wanted_is_dropped() -> None:
    """One thread, held up in its first draw: of the other rounds but the last, none is made."""
    begun, goes_on = threading.Event(), threading.Event()
    drawn: list[int] = []

    def draw(generator: np.random.Generator) -> int:
        drawn.append(int(generator.integers(10**6)))
        begun.set()
        assert goes_on.wait(20)
        return drawn[-1]

    ahead = feeding.Lookahead(draw, workers=1)
    rounds = [[np.random.default_rng(10 * turn + row) for row in range(3)] for turn in range(5)]
    expected = [int(np.random.default_rng(seed).integers(10**6)) for seed in (0, 40, 41, 42)]
    for generators in rounds:
        for row, generator in enumerate(generators):
            ahead.prepare(row, generator)
        assert begun.wait(20)
    goes_on.set()
    taken = [ahead.take(row, generator) for row, generator in enumerate(rounds[-1])]
    ahead.close()
    assert (taken, drawn) == (expected[1:], expected)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_goes_on(sample: Any, linear: Any) -> None:
    """In a process of its own, since forking a test process with torch's threads is unsafe."""
    script = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tests.conftest import InMemory, LinearClassifier
from saccade_env import SaccadeVectorEnv
env = SaccadeVectorEnv(
    2, workers=2, images=InMemory(), classifier=LinearClassifier(num_classes=1000), max_saccades=1
)
env.reset(seed=0)
child = os.fork()
if child == 0:
    signal.alarm(20)
    env.step([1, 2])
    env.step([3, 4])
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_pickle_goes_on_as_the_original(sample: Any, linear: Any) -> None:
    env = build(sample, linear, workers=2)
    env.reset(seed=3)
    run(env, 3)
    twin = pickle.loads(pickle.dumps(env))
    assert run(env, 9) == run(twin, 9)
    env.close()
    twin.close()
    assert run(env, 4) == run(twin, 4), "threads begin again when they are needed"


def test_the_number_of_workers_is_checked(sample: Any, linear: Any) -> None:
    for wrong in (-1, 1.5, "2"):
        with pytest.raises(ValueError, match="workers must be a whole number ≥ 0"):
            build(sample, linear, workers=wrong)  # type: ignore[arg-type]
    assert 1 <= feeding.check_workers(None) <= 4


def test_an_error_while_reading_ahead_comes_at_the_draw(sample: Any, linear: Any) -> None:
    env = build(Counting(sample, broken=tuple(range(40))), linear, workers=2)
    with pytest.raises(BrokenImageError, match="is broken"):
        env.reset(seed=0)
    assert np.isfinite(env.np_random[0].random())
