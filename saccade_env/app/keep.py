"""What was watched, as files: a film, a page of one file, records; made in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from saccade_env import rendering
from saccade_env.app.studio import Asked, Studio
from saccade_env.drawing import player as players
from saccade_env.drawing.data_uri import data_uri
from saccade_env.drawing.scanpaths import Run
from saccade_env.drawing.video import encoder
from saccade_env.evaluation.records import frame_of
from saccade_env.evaluation.rollout import collect

KINDS = {"GIF": "image/gif", "MP4": "video/mp4", "HTML": "text/html", "Records": "text/csv"}
_SECONDS = 0.7  # a frame of a film


class Watched(NamedTuple):
    """What was last watched, for whoever wants to keep it."""

    asked: Asked
    runs: list[Run]
    document: dict[str, Any]
    whole: torch.Tensor


def file_of(studio: Studio, result: Watched, kind: str) -> Iterator[str | dict[str, str]]:
    """Make a file: what is being done, in words, and in the end ``{"name": …, "uri": …}``."""
    yield f"{kind} is made…"
    if kind == "Records":
        data, suffix = _records(result).encode(), "csv"
    elif kind == "HTML":
        page = players.page([result.document], f"Scanpaths over {result.asked.picture.id}")
        data, suffix = page.encode(), "html"
    else:
        suffix, frames, many = kind.lower(), list[Any](), result.asked.saccades + 1
        for frame in _frames(studio, result):
            frames.append(frame)
            yield f"{kind} is made: picture {len(frames)} of {many}."
        data = encoder(Path(f"scanpath.{suffix}"))(frames, _SECONDS)
    yield {"name": f"scanpath.{suffix}", "uri": data_uri(data, KINDS[kind])}


def _frames(studio: Studio, result: Watched) -> Iterator[Any]:
    """The film's frames, all policies on each."""
    asked = result.asked
    config, names = studio.task(asked), studio.class_names(asked.classifier)
    patch = studio.opened(asked.classifier).judge.patch_size
    curves = [[float(state.certainty[0]) for state in run.states] for run in result.runs]
    for step in range(1 + config.max_saccades):
        drawn = [
            rendering.frame(
                run.states[step], config, patch, curve[: step + 1], names, title=run.name
            )
            for run, curve in zip(result.runs, curves, strict=True)
        ]
        yield rendering.tiled(drawn)


def _records(result: Watched) -> str:
    """The rows that an evaluation would keep, as CSV."""
    asked = result.asked
    parts = [
        frame_of(
            run.name, [asked.picture], run.states[0].labels, result.whole[None],
            collect(run.states[1:]),
        )
        for run in result.runs
    ]  # fmt: skip
    return "".join(part.to_csv(index=False, header=not place) for place, part in enumerate(parts))
