"""Figures are saved whole, under a name of their own until then."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from saccade_env.drawing import style


def drawn(values: list[int]) -> Any:
    figure = style.figure(3, 2)
    axes = figure.subplots()
    axes.plot(values, **style.LOOKS[0], label="values")
    style.dress(axes, "title", "saccade", "accuracy (%)")
    style.legend_below(figure, axes)
    return figure


def test_the_same_figure_gives_the_same_files(tmp_path: Path) -> None:
    one, two = ([tmp_path / n / f"a.{suffix}" for suffix in ("svg", "png")] for n in "ab")
    style.save(drawn([1, 2]), *one)
    style.save(drawn([1, 2]), *two)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(list(tmp_path.rglob("*.*"))) == 4


def test_a_full_disk_names_the_figure_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, places = tmp_path / "accuracy.png", []
    style.save(drawn([1, 2]), path)
    old = path.read_bytes()

    def write_half(self: Any, file: Path, **_: Any) -> None:
        places.append(file)
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", write_half)
    for _ in range(2):  # two processes do not share a temporary
        with pytest.raises(OSError, match=f"cannot write {path}: No space left on device"):
            style.save(drawn([2, 1]), path)
    assert len({*places}) == 2
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [old]
