"""Episodes to look at: frames, text, GIF and MP4, and a page that plays them.

A frame is uint8 ``[height, width, 3]``. Its size depends on the shape of the image alone and is a
multiple of 16 both ways, as video codecs want it. Nothing here keeps state or opens a window: the
environments do, with ``render_mode="human"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env import core, spaces
from saccade_env.card import what_it_sees
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.drawing import player
from saccade_env.drawing.frame import Hidden, class_name, draw, moment, token_at
from saccade_env.drawing.scanpaths import Run, scanpaths
from saccade_env.drawing.style import PAPER
from saccade_env.drawing.video import save
from saccade_env.files import write_text

__all__ = [
    "check_record",
    "frame",
    "full_logits",
    "record",
    "save",
    "text",
    "tiled",
    "token_at",
]
FILMS = (".gif", ".mp4")
_SUFFIXES = (*FILMS, ".html", ".json")
FIXATION_MARKS = "123456789abcdefghijklmnopqrstuvwxyz"


def frame(
    state: core.State,
    config: SaccadeConfig,
    patch_size: int,
    history: Sequence[float],
    class_names: Sequence[str] | None = None,
    row: int = 0,
    title: str = "",
    hidden: Hidden = "dimmed",
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw one episode: the picture with its scanpath, the top five classes, the certainty.

    Fixations are numbered, the current fovea is outlined. :func:`token_at` tells which token lies
    at a place of the frame.

    Args:
        state: A batch of episodes.
        config: The task.
        patch_size: Side of a token in pixels of the image.
        history: Certainty after the reset and after every saccade, each 0 to 1.
        class_names: One a class; of synonyms separated by commas the first is shown.
        row: Which episode of the batch.
        title: Headline, empty for none.
        hidden: Hidden tokens are ``"dimmed"``, dark and almost grey, or plain ``"grey"``, without
            the label, for somebody who is to guess.

    Returns:
        RGB pixels; 480 × 832 for a square image.

    Raises:
        ValueError: The images do not have the grid of the task at this patch size.
    """
    return draw(moment(state, config, patch_size, class_names, row), history, title, hidden)


def tiled(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]],
) -> UInt8[np.ndarray, "tiled_height tiled_width 3"]:
    """Put frames on one sheet, in a grid that is nearly square.

    Args:
        frames: At least one, all of one size; the first is at the top left, the second beside it.

    Raises:
        ValueError: There is none, or they differ in size.
    """
    shapes = {np.shape(pixels) for pixels in frames}
    if len(shapes) != 1:
        raise ValueError(f"frames must be at least one, all of one size; got {sorted(shapes)}")
    height, width, _ = shapes.pop()
    rows = math.ceil(math.sqrt(len(frames)))  # as many as columns or more: frames are wide
    cols = math.ceil(len(frames) / rows)
    paper = list(bytes.fromhex(PAPER[1:]))
    sheet = np.full((rows * height, cols * width, 3), paper, np.uint8)
    for number, pixels in enumerate(frames):
        top, left = number // cols * height, number % cols * width
        sheet[top : top + height, left : left + width] = pixels
    return sheet


def text(
    state: core.State,
    config: SaccadeConfig,
    class_names: Sequence[str] | None = None,
    row: int = 0,
) -> str:
    """Write one episode as text: the token grid, then what the classifier makes of it.

    ``·`` is hidden, ``░`` revealed, ``1`` to ``9`` and then ``a`` to ``z`` are fixations in their
    order (``+`` after those); where two fall on one token the later is shown.

    Args:
        state: A batch of episodes.
        config: The task.
        class_names: One a class, or none.
        row: Which episode of the batch.
    """
    done = int(state.saccades_done[row])
    cells = [["·░"[seen] for seen in line] for line in state.revealed[row].tolist()]
    for order, (cell_row, cell_col) in enumerate(state.fixations[row, :done].tolist()):
        cells[cell_row][cell_col] = FIXATION_MARKS[order : order + 1] or "+"
    share, prediction = state.logits[row].softmax(-1).max(-1)
    lines = [
        f"saccade     {done} of {config.max_saccades}",
        f"visible     {float(core.visible_share(state.revealed)[row]):.1%}",
        f"prediction  {class_name(int(prediction), class_names)} ({float(share):.1%})",
        f"certainty   {float(state.certainty[row]):.3f}",
    ]
    if (label := int(state.labels[row])) != core.UNLABELLED:
        lines.append(f"label       {class_name(label, class_names)}")
    return "\n".join([*map(" ".join, cells), *lines])


def record(
    env: gym.Env[Any, Any],
    policy: core.Policy | Mapping[str, core.Policy],
    path: str | Path,
    seed: int | None = None,
    index: int | None = None,
) -> dict[str, Any]:
    """Play one episode with a policy and save it; with several by name, side by side.

    Args:
        env: A SaccadeEnv, wrapped or not; for a film made with ``render_mode="rgb_array"``.
        policy: Where to look. Several play on the same picture, and are no film.
        path: Ends in ``.gif`` or ``.mp4``, see :func:`save`; in ``.html`` for a page that plays
            them, or ``.json`` for what it plays (:mod:`saccade_env.drawing.scanpaths`).
        seed: Seed of the reset.
        index: Which image; by default the environment chooses.

    Returns:
        ``path``, ``saccades`` made, and the last ``prediction``, ``certainty`` and ``correct``;
        of the first policy, if there are several.

    Raises:
        ValueError: Another render mode or suffix, or a film of several policies.
        OSError: The file cannot be written.
    """
    policies = dict(policy) if isinstance(policy, Mapping) else {policy.name: policy}
    film = check_record(path, len(policies))
    if film and env.render_mode != "rgb_array":
        raise ValueError(f"record needs render_mode='rgb_array'; got {env.render_mode!r}")
    inner: Any = env.unwrapped
    runs, frames, results = [], [], []
    for name, one in policies.items():
        states, infos = [], []
        for info in _played(env, one, seed, index):
            states.append(inner.state)
            infos.append(info)
            if film:
                frames.append(env.render())
        index = int(states[0].image_index[0])  # the others get the picture that was drawn
        saliency = one.maps(inner.images)[0] if isinstance(one, core.HasMaps) else None
        runs.append(Run(name, states, what_it_sees(one), saliency))
        results.append(_result(states[-1], infos[-1]))
    _save(runs, frames, inner, Path(path))
    return {"path": str(path), **results[0]}


def check_record(path: str | Path, policies: int = 1) -> bool:
    """Whether a path is that of a film, before anything is played.

    Raises:
        ValueError: Its suffix is unknown, or a film of several policies is asked for.
    """
    suffix = Path(path).suffix.lower()
    if not policies:
        raise ValueError("record needs a policy; got none")
    if suffix not in _SUFFIXES:
        raise ValueError(f"path must end in .gif, .mp4, .html or .json; got {str(path)!r}")
    if suffix in FILMS and policies > 1:
        raise ValueError(
            f"a film shows one policy, and .html or .json several side by side; got {policies} "
            f"policies for {str(path)!r}"
        )
    return suffix in FILMS


def _played(
    env: gym.Env[Any, Any], policy: core.Policy, seed: int | None, index: int | None
) -> Iterator[dict[str, Any]]:
    """Play an episode; gives the info before the first saccade and after each."""
    inner: Any = env.unwrapped
    _, info = env.reset(seed=seed, options=None if index is None else {"index": index})
    inner.reset_policy(policy)
    yield info
    over = False
    while not over:
        fixation = int(policy.act(inner.view)[0])
        action = spaces.fixation_to_action(fixation, inner.config)
        _, _, terminated, truncated, info = env.step(action)
        yield info
        over = terminated or truncated


def _result(state: core.State, info: dict[str, Any]) -> dict[str, Any]:
    return {
        "saccades": int(state.saccades_done[0]),
        "prediction": int(info["prediction"]),
        "certainty": float(info["certainty"]),
        "correct": bool(info["correct"]),
    }


def _save(runs: Sequence[Run], frames: Sequence[Any], inner: Any, path: Path) -> None:
    if frames:
        return save(frames, path)
    title = " and ".join(filter(None, [", ".join(run.name for run in runs[:-1]), runs[-1].name]))
    document = scanpaths(
        runs, inner.config, inner.class_names,
        full=full_logits(runs[0].states[0], inner.classifier),
        title=f"Scanpath of {title}" if len(runs) == 1 else f"Scanpaths of {title}",
        classifier=inner.classifier.name,
    )  # fmt: skip
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        write_text(path, player.page([document], document["title"]))


def full_logits(
    state: core.State, classifier: Classifier, row: int = 0
) -> Float[Tensor, " classes"]:
    """What the classifier makes of a whole image."""
    whole = classifier.recomputing  # a cache would only be thrown away
    memory = whole.begin(state.images[row : row + 1].to(classifier.device))
    logits, _ = whole.classify(memory, torch.ones_like(state.revealed[row : row + 1]))
    return logits[0].cpu()
