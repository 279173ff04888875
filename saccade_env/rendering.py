"""Episodes to look at: frames, text, GIF and MP4.

A frame is uint8 ``[height, width, 3]``. Its size depends on the shape of the image alone and is a
multiple of 16 both ways, as video codecs want it. Nothing here keeps state or opens a window: the
environments do, with ``render_mode="human"``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from jaxtyping import UInt8

from saccade_env import core, spaces
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.frame import Hidden, class_name, draw, moment, token_at
from saccade_env.drawing.style import PAPER
from saccade_env.drawing.video import encoder, save

__all__ = ["frame", "record", "save", "text", "tiled", "token_at"]
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
        hidden: Hidden tokens are ``"dimmed"``, dark and almost grey, or plain ``"grey"``.

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
    policy: core.Policy,
    path: str | Path,
    seed: int | None = None,
    index: int | None = None,
) -> dict[str, Any]:
    """Play one episode with a policy and save it.

    Args:
        env: A SaccadeEnv, wrapped or not, made with ``render_mode="rgb_array"``.
        policy: Where to look.
        path: Ends in ``.gif`` or ``.mp4``, see :func:`save`.
        seed: Seed of the reset.
        index: Which image; by default the environment chooses.

    Returns:
        ``path``, ``saccades`` made, and the last ``prediction``, ``certainty`` and ``correct``.

    Raises:
        ValueError: Another render mode or suffix.
        OSError: The file cannot be written.
    """
    encoder(Path(path))
    if env.render_mode != "rgb_array":
        raise ValueError(f"record needs render_mode='rgb_array'; got {env.render_mode!r}")
    inner: Any = env.unwrapped
    _, info = env.reset(seed=seed, options=None if index is None else {"index": index})
    inner.reset_policy(policy)
    frames: list[Any] = [env.render()]
    over = False
    while not over:
        fixation = int(policy.act(inner.view)[0])
        action = spaces.fixation_to_action(fixation, inner.config)
        _, _, terminated, truncated, info = env.step(action)
        frames.append(env.render())
        over = terminated or truncated
    save(frames, path)
    return {
        "path": str(path),
        "saccades": int(inner.view.saccades_done[0]),
        "prediction": int(info["prediction"]),
        "certainty": float(info["certainty"]),
        "correct": bool(info["correct"]),
    }
