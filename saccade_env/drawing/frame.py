"""The pictures behind :mod:`saccade_env.rendering`: one episode at one moment, drawn.

Places are pixels (row, col), row 0 at the top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from saccade_env import core, geometry
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.canvas import Canvas, Length, Place, shorten
from saccade_env.drawing.style import BLACK, BLUE, FAINT, ORANGE, PAPER, QUIET, YELLOW

PICTURE_HEIGHT, PICTURE_LIMIT, PANEL, MARGIN, GAP = 448, 896, 320, 16, 28
GREY = (128, 128, 128)  # in place of what is hidden
Hidden = Literal["dimmed", "grey"]


class Layout(NamedTuple):
    """Where things lie in a frame; the picture's left border is at ``MARGIN``."""

    scale: float  # pixels of the frame for one of the image
    top: int  # of the picture
    height: int  # of the picture
    width: int
    frame_height: int
    frame_width: int


def layout(image_size: tuple[int, int]) -> Layout:
    """Lay out the frame of an image of (height, width) pixels."""
    scale = min(PICTURE_HEIGHT / image_size[0], PICTURE_LIMIT / image_size[1])
    height, width = (max(1, round(side * scale)) for side in image_size)
    frame_height = PICTURE_HEIGHT + 2 * MARGIN
    frame_width = math.ceil((width + PANEL + GAP + 2 * MARGIN) / 16) * 16
    top = (frame_height - height) // 2
    return Layout(scale, top, height, width, frame_height, frame_width)


def token_at(
    place: Place,
    image_size: tuple[int, int],
    patch_size: int,
    shown: tuple[int, int] | None = None,
) -> int | None:
    """The token at a place of a frame, such as a click's; None beside the picture.

    Args:
        place: (row, col) in pixels of the frame.
        image_size: (height, width) of the image the frame shows.
        patch_size: Side of a token in pixels of the image.
        shown: (height, width) at which the frame is shown, and ``place`` is meant; None: as it is.

    Returns:
        The row-major index of the token.
    """
    laid = layout(image_size)
    full = (laid.frame_height, laid.frame_width)
    row, col = (at * side / own for at, side, own in zip(place, full, shown or full, strict=True))
    row, col = row - laid.top, col - MARGIN
    if not (0 <= row < laid.height and 0 <= col < laid.width):
        return None
    grid = geometry.grid_of(image_size, patch_size)
    pixel = torch.tensor([[row, col]], dtype=torch.float64) / laid.scale
    token = geometry.pixel_to_row_col(pixel, patch_size, grid)
    return int(geometry.row_col_to_index(token, grid))


class Moment(NamedTuple):
    """What is shown of one episode, on the CPU and in pixels of its image."""

    image: UInt8[np.ndarray, "height width 3"]
    revealed: Bool[np.ndarray, "height width"]
    fixations: list[Place]  # (row, col) of the saccades made
    fovea: tuple[int, int, int, int]  # top, left, bottom, right of the last fixation
    probabilities: Float[np.ndarray, " classes"]
    certainty: float
    label: int
    max_saccades: int
    class_names: Sequence[str] | None

    def name(self, number: int, limit: int = 34) -> str:
        """Name of a class, shortened to ``limit`` characters."""
        return shorten(class_name(number, self.class_names), limit)


def moment(
    state: core.State,
    config: SaccadeConfig,
    patch_size: int,
    class_names: Sequence[str] | None,
    row: int,
) -> Moment:
    """Take one episode out of a batch.

    Raises:
        ValueError: The images do not have the grid of the task at this patch size.
    """
    grid = geometry.grid_of((state.images.shape[2], state.images.shape[3]), patch_size)
    if grid != tuple(config.grid):
        raise ValueError(f"images must have grid {config.grid} of the task; got {grid}")
    made = state.fixations[row, : int(state.saccades_done[row])].cpu()
    return Moment(
        image=state.images[row].permute(1, 2, 0).cpu().numpy(),
        revealed=geometry.to_pixels(state.revealed[row, None], patch_size)[0].cpu().numpy(),
        fixations=[(r, c) for r, c in geometry.row_col_to_pixel(made, patch_size).tolist()],
        fovea=_fovea(made[-1:], config, patch_size),
        probabilities=state.logits[row].float().softmax(-1).cpu().numpy(),
        certainty=float(state.certainty[row]),
        label=int(state.labels[row]),
        max_saccades=config.max_saccades,
        class_names=class_names,
    )


def _fovea(
    fixation: torch.Tensor, config: SaccadeConfig, patch_size: int
) -> tuple[int, int, int, int]:
    """Borders in pixels, clipped at the grid; all 0 without a fixation."""
    token = geometry.row_col_to_index(fixation, config.grid)
    window = geometry.fovea_windows(config.grid, config.fovea, token.device)[token]
    cells = geometry.to_pixels(window, patch_size).nonzero()[:, 1:]
    if not len(cells):
        return 0, 0, 0, 0
    (top, left), (bottom, right) = cells.amin(0).tolist(), cells.amax(0).tolist()
    return top, left, bottom + 1, right + 1


def class_name(number: int, class_names: Sequence[str] | None) -> str:
    """First synonym of a class, or its number where there are no names."""
    return f"class {number}" if class_names is None else class_names[number].split(",")[0].strip()


def draw(
    shown: Moment, history: Sequence[float], title: str, hidden: Hidden
) -> UInt8[np.ndarray, "frame_height frame_width 3"]:
    """Draw the picture and the panel beside it; ``history`` is certainty after every saccade."""
    laid = layout((shown.image.shape[0], shown.image.shape[1]))
    canvas = Canvas(laid.frame_height, laid.frame_width)
    left = laid.frame_width - MARGIN - PANEL
    canvas.image(picture(shown, laid.height, laid.width, hidden), laid.top, MARGIN)
    if shown.fixations:
        _draw_scanpath(canvas, shown, (laid.top, MARGIN), laid.scale)
    if hidden == "grey":  # whoever guesses is not told
        shown = shown._replace(label=core.UNLABELLED)
    _draw_heading(canvas, left, shown, title, "Label hidden" if hidden == "grey" else "No label")
    _draw_classes(canvas, left, shown)
    _draw_certainty(canvas, left, shown, history)
    return canvas.pixels()


def picture(
    shown: Moment, height: int, width: int, hidden: Hidden = "dimmed"
) -> UInt8[np.ndarray, "picture_height picture_width 3"]:
    """The image at a size in pixels, with what is hidden dark and almost grey, or not at all."""
    from PIL import Image, ImageChops, ImageFilter

    full = Image.fromarray(shown.image).resize((width, height), Image.Resampling.LANCZOS)
    seen = Image.fromarray(shown.revealed.astype(np.uint8) * 255).resize((width, height), 0)
    if hidden == "grey":
        dim = Image.new("RGB", full.size, GREY)
    else:
        muted = Image.blend(full, full.convert("L").convert("RGB"), 0.8)
        # The exponent keeps the shapes of a dark picture, the factor holds down a bright one.
        dim = muted.point([round(96 * (level / 255) ** 0.8) for level in range(256)] * 3)
    edge = ImageChops.subtract(seen, seen.filter(ImageFilter.MinFilter(3)))
    shine = Image.blend(full, Image.new("RGB", full.size, "white"), 0.35)
    return np.asarray(Image.composite(shine, Image.composite(full, dim, seen), edge))


def _draw_scanpath(canvas: Canvas, shown: Moment, origin: Place, scale: float) -> None:
    def place(row: Length, col: Length) -> Place:
        return origin[0] + row * scale, origin[1] + col * scale

    top, left = place(*shown.fovea[:2])
    bottom, right = place(*shown.fovea[2:])
    for edge, width in ((BLACK, 3.4), (YELLOW, 1.8)):
        outline = {"fill": False, "edgecolor": edge, "linewidth": width}
        canvas.box(top, left, bottom - top, right - left, **outline)
    places = [place(*fixation) for fixation in shown.fixations]
    canvas.line(places, BLACK, 4)
    canvas.line(places, PAPER, 2)
    for number, (row, col) in enumerate(places, start=1):
        radius, size, face = (11, 8.5, YELLOW) if number == len(places) else (9.5, 7.5, PAPER)
        canvas.disc(row, col, radius, facecolor=face, edgecolor=BLACK)
        canvas.text(row, col, str(number), size, ha="center", color=BLACK, weight="bold")


def _draw_heading(canvas: Canvas, left: int, shown: Moment, title: str, without_label: str) -> None:
    progress = f"Saccade {len(shown.fixations)} of {shown.max_saccades}"
    visible = f"{shown.revealed.mean():.0%} visible"
    canvas.text(30, left, shorten(title or progress, 30), 12, weight="bold")
    canvas.text(54, left, f"{progress}  ·  {visible}" if title else visible, color=QUIET)
    if shown.label == core.UNLABELLED:
        canvas.text(76, left, without_label, color=QUIET)
        return
    share = shown.probabilities[shown.label]
    canvas.box(72, left, 9, 9, facecolor=ORANGE, linewidth=0)
    canvas.text(76, left + 16, f"Label: {shown.name(shown.label, 28)} ({share:.1%})")


def _draw_classes(canvas: Canvas, left: int, shown: Moment) -> None:
    canvas.text(112, left, "Prediction", weight="bold")
    best = np.argsort(-shown.probabilities, kind="stable")[:5].tolist()
    for row, number in zip(range(134, 290, 31), best, strict=False):
        share, true = float(shown.probabilities[number]), number == shown.label
        name = f"{shown.name(number, 28)} (label)" if true else shown.name(number)
        weight = "bold" if true else "normal"
        canvas.text(row, left, name, weight=weight)
        canvas.text(row, left + PANEL, f"{share:.1%}", ha="right", weight=weight)
        canvas.box(row + 10, left, 7, PANEL, facecolor=FAINT, linewidth=0)
        colour = ORANGE if true else BLUE
        canvas.box(row + 10, left, 7, PANEL * share, facecolor=colour, linewidth=0)


def _draw_certainty(canvas: Canvas, left: int, shown: Moment, history: Sequence[float]) -> None:
    top, bottom, start, end = 336, 432, left + 26, left + PANEL - 8

    step = (end - start) / shown.max_saccades

    def place(saccades: int, level: Length) -> Place:
        return bottom - level * (bottom - top), start + saccades * step

    canvas.text(312, left, "Certainty", weight="bold")
    canvas.text(312, left + PANEL, f"{shown.certainty:.2f}", ha="right", weight="bold")
    small: dict[str, Any] = {"size": 7.5, "color": QUIET}
    for level in (0, 0.5, 1):
        canvas.line([place(0, level), place(shown.max_saccades, level)], FAINT, 1.4)
        canvas.text(place(0, level)[0], start - 8, f"{level:g}", ha="right", **small)
    for number in sorted({0, shown.max_saccades // 2, shown.max_saccades}):
        canvas.text(bottom + 14, place(number, 0)[1], str(number), ha="center", **small)
    canvas.text(bottom + 29, (start + end) / 2, "saccades", ha="center", **small)
    if curve := [place(*point) for point in enumerate(history[: len(shown.fixations) + 1])]:
        canvas.line(curve, BLUE, 2.6, marker="o", markersize=3.2)
        canvas.disc(*curve[-1], 5, facecolor=YELLOW, edgecolor=BLACK)
