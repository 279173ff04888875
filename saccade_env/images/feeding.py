"""Pictures decoded ahead of their use, in threads: for the evaluator and for resets.

Decoding releases Python's lock. What is read ahead is bounded: two batches, or one picture a row.
The number of ``workers`` changes no result; with 0 nothing is read ahead, which suits an
ImageSource that cannot be read from another thread.
"""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from saccade_env.images.base import BrokenImageError, ImageSource, Picture

_BATCHES_AHEAD = 2


def check_workers(workers: int | None) -> int:
    """Number of decoding threads; None means one for every four processors, 1 to 4.

    A thread decodes some 600 pictures a second, and networks want the other processors.

    Raises:
        ValueError: It is negative, or no whole number.
    """
    if workers is None:
        return min(4, max(1, (os.cpu_count() or 1) // 4))
    if not isinstance(workers, int) or workers < 0:
        raise ValueError(f"workers must be a whole number ≥ 0; got {workers!r}")
    return workers


class Batch(NamedTuple):
    """Decoded pictures, and those that could not be."""

    pictures: list[Picture]
    broken: list[dict[str, str]]


def chunked(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    """The same indices, ``size`` at a time."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def batches(
    source: ImageSource, chunks: Sequence[Sequence[int]], on_error: str, workers: int
) -> Iterator[Batch]:
    """A batch of decoded pictures for every chunk of indices, in order; the next are decoded ahead.

    Raises:
        BrokenImageError: A picture cannot be read and ``on_error`` is not ``"skip"``.
    """
    if not workers:
        for chunk in chunks:
            reads = [partial(source.__getitem__, i) for i in chunk]
            yield _gather(source, chunk, reads, on_error)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    ahead: deque[list[Future[Picture]]] = deque()
    try:
        for number, chunk in enumerate(chunks):
            for coming in chunks[number + len(ahead) : number + 1 + _BATCHES_AHEAD]:
                ahead.append([pool.submit(source.__getitem__, i) for i in coming])
            yield _gather(source, chunk, [future.result for future in ahead.popleft()], on_error)
    finally:  # also when the caller stops half-way
        pool.shutdown(cancel_futures=True)


def _gather(
    source: ImageSource,
    chunk: Sequence[int],
    reads: Sequence[Callable[[], Picture]],
    on_error: str,
) -> Batch:
    batch = Batch([], [])
    for index, read in zip(chunk, reads, strict=True):
        try:
            batch.pictures.append(read())
        except BrokenImageError as error:
            if on_error != "skip":
                raise
            batch.broken.append({"image": source.id(index), "reason": str(error)})
    return batch


Draw = Callable[[np.random.Generator], Any]


class Lookahead:
    """The next draw of every row, made ahead of time on a twin of the row's generator.

    The generator itself moves only when the draw is used. So a draw made ahead can be dropped (at
    a new seed, in a pickle) and made again, and rows draw what they would have drawn without it.

    Args:
        draw: Draws with a generator and reads what was drawn; runs in other threads.
        workers: Number of threads; 0 draws when asked.
    """

    def __init__(self, draw: Draw, workers: int) -> None:
        self._draw, self._workers = draw, workers
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._ahead: dict[int, tuple[np.random.Generator, Future[Any]]] = {}
        self._twins: list[np.random.Generator] = []  # idle ones: copying one takes a while

    def take(self, row: int, generator: np.random.Generator) -> Any:
        """The next draw of a row."""
        if not self._workers:
            return self._draw(generator)
        self._forget_after_fork()
        begun = self._ahead.pop(row, None)
        future = begun[1] if begun and begun[0] is generator else self._submit(generator)
        twin, before, drawn, error = future.result()
        after = twin.bit_generator.state
        self._twins.append(twin)
        if before != generator.bit_generator.state:  # somebody else drew from it meanwhile
            return self._draw(generator)
        generator.bit_generator.state = after  # also after an error, so that the next draw is new
        if error is not None:
            raise error
        return drawn

    def prepare(self, row: int, generator: np.random.Generator) -> None:
        """Begin the next draw of a row, unless it is under way."""
        self._forget_after_fork()
        begun = self._ahead.get(row)
        if begun and begun[0] is not generator:
            begun[1].cancel()
        if self._workers and not (begun and begun[0] is generator):
            self._ahead[row] = generator, self._submit(generator)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._ahead = None, {}

    def _forget_after_fork(self) -> None:
        if self._process != os.getpid():  # threads stay behind in the parent
            self._process, self._pool, self._ahead, self._twins = os.getpid(), None, {}, []

    def _submit(self, generator: np.random.Generator) -> Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        twin = self._twins.pop() if self._twins else None
        return self._pool.submit(_draw_on_twin, self._draw, generator, twin)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_pool": None, "_ahead": {}, "_twins": []}


def _draw_on_twin(
    draw: Draw, generator: np.random.Generator, twin: np.random.Generator | None
) -> tuple[np.random.Generator, Any, Any, BrokenImageError | None]:
    before = generator.bit_generator.state
    if twin is None or type(twin.bit_generator) is not type(generator.bit_generator):
        twin = copy.deepcopy(generator)
    twin.bit_generator.state = before
    try:
        return twin, before, draw(twin), None
    except BrokenImageError as error:
        return twin, before, None, error
