"""Figures 8, 9, 12 and 13: pictures of the method, from the shipped sample alone.

No picture of the user's is ever drawn, since ImageNet's may not be published. They are drawn while
the networks are at hand, and scanpaths are kept to be played; a report shows what was drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from saccade_env import core, images
from saccade_env.card import what_it_sees
from saccade_env.config import SaccadeConfig
from saccade_env.drawing import frame as drawing
from saccade_env.drawing import style
from saccade_env.drawing.scanpaths import Run, scanpaths
from saccade_env.evaluation.rollout import follow
from saccade_env.files import write_text
from saccade_env.images import Preprocess
from saccade_env.paper.figures.recipe import Drawn, Output, Recipe
from saccade_env.paper.page import FIGURES, Figure
from saccade_env.paper.results import ATTENTION, NotRunError, Results, with_parameters
from saccade_env.rendering import full_logits

SIDE = 160  # pixels of a drawn picture
_CHOICE = (20, 26, 31)  # of the sample: an officer, a tripod, a cup of coffee
_ACROSS = 6  # maps in a line
_SHOWN = (1, 2, 3, 5, 10)  # saccades
_RIGHT, _WRONG = "#00684b", "#a34700"
_SAMPLE = "Pictures that come with this package, not those of the experiments."
_LABELS = "✓ is the label, ✗ another class."
_SCALE = "Each map from its lowest value, black, to its highest."
_PLAYED = "Played above, where scripts run: choose a picture and go from saccade to saccade."
_PAPER = "The paper has such pictures of ImageNet’s images, and draws no numbers from them."


class Sample(NamedTuple):
    """Pictures of the sample and their labels, with the classifier that fits them."""

    pixels: UInt8[Tensor, "batch 3 height width"]
    labels: Int[Tensor, " batch"]
    judge: Any
    config: SaccadeConfig
    names: Sequence[str] | None  # of the classes, if they are ImageNet's


class Made(NamedTuple):
    """A figure, its text for who cannot see it, and scanpaths to be played, one a picture."""

    figure: Any
    alt: str
    played: Sequence[dict[str, Any]] = ()


def draw(cast: Any, figures: Sequence[int], out: Output) -> list[dict[str, Any]]:
    """Draw these figures, as plain data that a report finds again.

    Args:
        cast: Who plays, see :class:`saccade_env.paper.programme.Cast`.
        figures: Numbers; those that are no pictures, or that no policy is here for, are left out.
        out: Where they go.
    """
    drawn, possible = [], {8: ATTENTION in cast.roles, 9: True, 12: True, 13: cast.depth > 0}
    if wanted := [number for number in figures if possible.get(number)]:
        sample = _sample(cast)
        for number in wanted:
            name, make = _MAKERS[number]
            made = make(cast, sample)
            saved = out.save(made.figure, f"{number:02d}-{name}", made.alt)
            svg, png = (f"{FIGURES}/{path.name}" for path in (saved.svg, saved.png))
            drawn.append({"figure": number, "svg": svg, "png": png, "alt": made.alt})
            if made.played:
                place = f"{FIGURES}/{number:02d}-{name}.json"
                write_text(out.place(place), json.dumps(made.played, ensure_ascii=False))
                drawn[-1]["scanpaths"] = place
    return drawn


def _scanpaths(cast: Any, sample: Sample) -> Made:
    """What attention has revealed after some saccades, and the class predicted then (figure 8)."""
    name = cast.roles[ATTENTION]
    states = _followed(cast, name, sample)
    shown = [saccade for saccade in _SHOWN if saccade < len(states)]
    figure, axes = _panels(len(sample.pixels), len(shown))
    for row, col in np.ndindex(axes.shape):
        _show_state(axes[row, col], states[shown[col]], sample, row)
        if row == 0:
            axes[row, col].set_title(f"saccade {shown[col]}", fontsize=9)
    predicted = "; ".join(_story(states, sample, row) for row in range(len(sample.pixels)))
    alt = f"Pictures as {name} reveals them, saccade by saccade. {predicted}."
    return Made(figure, alt, _played(cast, [name], [states], sample))


def _by_policy(cast: Any, sample: Sample) -> Made:
    """What every policy has revealed in the end, and the class predicted then (figure 9)."""
    names = list(cast.roles.values())
    followed = [_followed(cast, name, sample) for name in names]
    ends = [states[-1] for states in followed]
    figure, axes = _panels(len(sample.pixels), len(names))
    for row, col in np.ndindex(axes.shape):
        _show_state(axes[row, col], ends[col], sample, row)
        if row == 0:
            axes[row, col].set_title(names[col], fontsize=9)
    right = [int(core.correct(end).sum()) for end in ends]
    told = ", ".join(f"{name} {count}" for name, count in zip(names, right, strict=True))
    alt = (
        f"What each policy reveals in {cast.settings.config.max_saccades} saccades, and the class "
        f"predicted then. Right, of {len(sample.pixels)} pictures: {told}."
    )
    return Made(figure, alt, _played(cast, names, followed, sample))


def _saliency_maps(cast: Any, sample: Sample) -> Made:
    """The pictures and their maps side by side (figure 12)."""
    names = [
        name for name in cast.roles.values() if isinstance(cast.policy_here(name), core.HasMaps)
    ]
    return _show_maps(cast, sample, names, names, "Pictures and their saliency maps")


def _layers(cast: Any, sample: Sample) -> Made:
    """The pictures and the attention of every layer (figure 13)."""
    name = cast.roles[ATTENTION]
    names = [with_parameters(name, layer=layer) for layer in range(cast.depth)]
    titles = [f"layer {1 + layer}" for layer in range(cast.depth)]
    return _show_maps(cast, sample, names, titles, f"Pictures and the maps of {name} by layer")


def _followed(cast: Any, name: str, sample: Sample) -> list[core.State]:
    """States before the first saccade and after every one."""
    policy = cast.policy_here(name)
    return follow(sample.pixels, sample.labels, policy, sample.config, sample.judge)


def _played(
    cast: Any, names: Sequence[str], followed: Sequence[list[core.State]], sample: Sample
) -> list[dict[str, Any]]:
    """The scanpaths of these policies, to be played side by side on each picture."""
    policies = [cast.policy_here(name) for name in names]
    maps = [
        policy.maps(sample.pixels) if isinstance(policy, core.HasMaps) else None
        for policy in policies
    ]
    documents = []
    for row in range(len(sample.pixels)):
        runs = [
            Run(name, states, what_it_sees(policy), None if own is None else own[row])
            for name, states, policy, own in zip(names, followed, policies, maps, strict=True)
        ]
        full = full_logits(followed[0][0], sample.judge, row)
        named = {"classifier": sample.judge.name, "class_names": sample.names}
        documents.append(scanpaths(runs, sample.config, row=row, full=full, **named))
    return documents


def _sample(cast: Any) -> Sample:
    """The chosen pictures at the main experiment's size."""
    source, judge = images.create("sample", Preprocess(cast.image_size)), cast.judge()
    pixels, labels = (tensor.to(judge.device) for tensor in images.load_batch(source, _CHOICE))
    names = source.class_names if judge.num_classes == len(source.class_names) else None
    known = labels if names else torch.full_like(labels, core.UNLABELLED)
    return Sample(pixels, known, judge, cast.settings.config.on(judge.grid), names)


def _panels(rows: int, cols: int) -> tuple[Any, Any]:
    """A figure and its axes [rows, cols], without ticks."""
    figure = style.figure(cols * SIDE / 100, rows * SIDE / 100)
    axes = figure.subplots(rows, cols, squeeze=False)
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
    return figure, axes


def _show_maps(cast: Any, sample: Sample, names: list[str], titles: list[str], alt: str) -> Made:
    """Every picture with its maps beside it, on as many lines as they need."""
    maps = [cast.policy_here(name).maps(sample.pixels).cpu().numpy() for name in names]
    across = min(len(names), _ACROSS)
    lines = -(-len(names) // across)
    figure, axes = _panels(lines * len(sample.pixels), 1 + across)
    for one in axes.flat:
        one.set_axis_off()
    for row in range(len(sample.pixels)):
        axes[row * lines, 0].imshow(_pixels(sample.pixels[row]))
        for place, title in enumerate(titles):
            one = axes[row * lines + place // across, 1 + place % across]
            one.imshow(_relative(maps[place][row]), cmap="magma", vmin=0, vmax=1)
            if row == 0:
                one.set_title(title, fontsize=9)
    return Made(figure, f"{alt}: {', '.join(titles)}; bright is looked at first.")


def _relative(saliency: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "rows cols"]:
    low, high = saliency.min(), saliency.max()
    return (saliency - low) / max(high - low, 1e-12)


def _show_state(axes: Any, state: core.State, sample: Sample, row: int) -> None:
    shown = drawing.moment(state, sample.config, sample.judge.patch_size, sample.names, row)
    height, width = shown.image.shape[:2]
    axes.imshow(drawing.picture(shown, height, width))
    rows, cols = zip(*shown.fixations, strict=True)
    axes.plot(cols, rows, color="white", linewidth=1, marker="o", markersize=3)
    predicted = int(shown.probabilities.argmax())
    right = predicted == shown.label
    mark = "" if sample.names is None else ("✓ " if right else "✗ ")
    axes.set_xlabel(mark + shown.name(predicted, 22), fontsize=8, color=_RIGHT if right else _WRONG)


def _story(states: list[core.State], sample: Sample, row: int) -> str:
    """When a picture is right for the first time, for who cannot see it."""
    if sample.names is None:
        return "a picture without a label the classifier knows"
    name = drawing.class_name(int(sample.labels[row]), sample.names)
    right = [n for n, state in enumerate(states) if n and bool(core.correct(state)[row])]
    return f"{name} is right from saccade {right[0]}" if right else f"{name} is never right"


def _pixels(image: UInt8[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    return image.permute(1, 2, 0).cpu().numpy()


def _shown(number: int, shows: str, note: str, results: Results) -> Drawn:
    """What was drawn when the networks were at hand."""
    for drawn in results.run.get("pictures", ()):
        svg, png = (results.folder / drawn[kind] for kind in ("svg", "png"))
        if drawn["figure"] == number and svg.exists() and png.exists():
            scanpaths = results.folder / drawn["scanpaths"] if "scanpaths" in drawn else None
            played = scanpaths if scanpaths and scanpaths.exists() else None
            caption = f"{_SAMPLE} {note}{f' {_PLAYED}' if played else ''}"
            return Drawn(Figure(svg, png, drawn["alt"], played), "", shows, [], caption)
    raise NotRunError("no policy here has such pictures")


_MAKERS: dict[int, tuple[str, Callable[[Any, Sample], Made]]] = {
    8: ("scanpaths", _scanpaths),
    9: ("policies", _by_policy),
    12: ("maps", _saliency_maps),
    13: ("layers", _layers),
}
RECIPES = tuple(
    Recipe(number, title, _PAPER, (), partial(_shown, number, shows, note))
    for number, title, shows, note in (
        (
            8, "Scanpaths of attention",
            "Three pictures after some saccades of the attention policy: what is revealed is "
            "bright, the dots are fixations, and below stands the class predicted then.", _LABELS,
        ),
        (
            9, "Scanpaths of all policies",
            "The same pictures after the last saccade of every policy, and the class predicted "
            "then.", _LABELS,
        ),
        (
            12, "Saliency maps side by side",
            "What every policy follows: it looks at the brightest token first.", _SCALE,
        ),
        (
            13, "Attention by layer",
            "Attention from [CLS] to the patches, the largest of all heads, from the first layer "
            "to the last.", _SCALE,
        ),
    )
)  # fmt: skip
