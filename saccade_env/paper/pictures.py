"""Pictures of the method (figures 8, 9, 12 and 13), from the shipped sample alone.

No picture of the user's is ever drawn, since ImageNet's may not be published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env import core
from saccade_env.config import SaccadeConfig
from saccade_env.drawing import frame as drawing
from saccade_env.paper.cast import Cast, with_parameters
from saccade_env.paper.figures import style
from saccade_env.paper.figures.parts import networks
from saccade_env.paper.page import FIGURES, Figure, Section
from saccade_env.paper.results import ATTENTION, Results
from saccade_env.paper.settings import PICTURES
from saccade_env.paper.shown import Sample, panels, rollout, sample_of

_OF_ALL = (9, 12)  # figures of every policy; the others are of attention
_ACROSS = 6  # maps in a line
_SHOWN = (1, 2, 3, 5, 10)  # saccades
_RIGHT, _WRONG = "#00684b", "#a34700"


_CAPTION = "Pictures that come with this package, not those of the experiments. {}"
_TEXTS = {  # title, what it shows, caption
    8: (
        "Scanpaths of attention",
        "Three pictures after some saccades of the attention policy: what is revealed is bright, "
        "the dots are fixations, and below stands the class predicted then.",
        "✓ is the label, ✗ another class.",
    ),
    9: (
        "Scanpaths of all policies",
        "The same pictures after the last saccade of every policy, and the class predicted then.",
        "✓ is the label, ✗ another class.",
    ),
    12: (
        "Saliency maps side by side",
        "What every policy follows: it looks at the brightest token first.",
        "Each map from its lowest value, black, to its highest.",
    ),
    13: (
        "Attention by layer",
        "Attention from [CLS] to the patches, the largest of all heads, from the first layer to "
        "the last.",
        "Each map from its lowest value, black, to its highest.",
    ),
}
_PAPER = "The paper has such pictures of ImageNet’s images, and draws no numbers from them."


class Example(NamedTuple):
    """A picture in two files, with the text for who cannot see it."""

    figure: int
    svg: str  # relative to the output folder
    png: str
    alt: str


def draw(cast: Cast, out: Path, figures: Iterable[int]) -> list[Example]:
    """Draw these figures into ``out/figures``; those that no policy is here for are left out."""
    makers: dict[int, tuple[str, Callable[[Cast, Sample], tuple[Any, str]]]] = {
        8: ("scanpaths", scanpaths),
        9: ("policies", by_policy),
        12: ("maps", saliency_maps),
        13: ("layers", layers),
    }
    wanted = [figure for figure in figures if figure in makers]
    if ATTENTION not in cast.roles:
        wanted = [figure for figure in wanted if figure in _OF_ALL]
    if not wanted:
        return []
    sample, drawn = sample_of(cast), []
    for number in wanted:
        name, make = makers[number]
        if number == 13 and not hasattr(cast.policy_here(cast.roles[ATTENTION]), "layer"):
            continue
        figure, alt = make(cast, sample)
        saved = style.save(figure, out, f"{number:02d}-{name}", alt)
        svg, png = (f"{FIGURES}/{path.name}" for path in saved.files)
        drawn.append(Example(number, svg, png, alt))
    return drawn


def sections(results: Results, out: Path) -> list[Section]:
    """The pictures asked for, as sections of the report; one says so where there is none."""
    made, asked = [], results.figures or PICTURES
    there = {drawn["figure"] for drawn in results.run.get("pictures", ())}
    for number in sorted({*PICTURES} & {*asked} - there):
        named, none = f"Figure {number}: {_TEXTS[number][0]}", "no policy here has such pictures"
        shows = f"There is no such figure: {none}."
        made.append(Section(f"figure {number}", named, shows, _PAPER, ""))
    for drawn in (Example(**each) for each in results.run.get("pictures", ())):
        title, shows, caption = _TEXTS[drawn.figure]
        figure = Figure(out / drawn.svg, out / drawn.png, drawn.alt)
        caption = f"{_CAPTION.format(caption)} {networks(results)}".strip()
        named = f"Figure {drawn.figure}: {title}"
        made.append(Section(f"figure {drawn.figure}", named, shows, _PAPER, caption, [figure]))
    return made


def scanpaths(cast: Cast, sample: Sample) -> tuple[Any, str]:
    """What attention has revealed after some saccades, and the class predicted then (figure 8)."""
    name = cast.roles[ATTENTION]
    states = rollout(cast.policy_here(name), sample, cast.settings.saccades)
    shown = [saccade for saccade in _SHOWN if saccade <= len(states)]
    figure, axes = panels(len(sample.pixels), len(shown))
    for row, col in np.ndindex(axes.shape):
        _show_state(axes[row, col], states[shown[col] - 1], sample, row)
        if row == 0:
            axes[row, col].set_title(f"saccade {shown[col]}", fontsize=9)
    predicted = "; ".join(_story(states, sample, row) for row in range(len(sample.pixels)))
    return figure, f"Pictures as {name} reveals them, saccade by saccade. {predicted}."


def by_policy(cast: Cast, sample: Sample) -> tuple[Any, str]:
    """What every policy has revealed in the end, and the class predicted then (figure 9)."""
    names = list(cast.roles.values())
    ends = [rollout(cast.policy_here(name), sample, cast.settings.saccades)[-1] for name in names]
    figure, axes = panels(len(sample.pixels), len(names))
    for row, col in np.ndindex(axes.shape):
        _show_state(axes[row, col], ends[col], sample, row)
        if row == 0:
            axes[row, col].set_title(names[col], fontsize=9)
    right = [int(core.correct(end).sum()) for end in ends]
    told = ", ".join(f"{name} {count}" for name, count in zip(names, right, strict=True))
    return figure, (
        f"What each policy reveals in {cast.settings.saccades} saccades, and the class predicted "
        f"then. Right, of {len(sample.pixels)} pictures: {told}."
    )


def saliency_maps(cast: Cast, sample: Sample) -> tuple[Any, str]:
    """The pictures and their maps side by side (figure 12)."""
    names = [name for name in cast.roles.values() if hasattr(cast.policy_here(name), "maps")]
    return _show_maps(cast, sample, names, names, "Pictures and their saliency maps")


def layers(cast: Cast, sample: Sample) -> tuple[Any, str]:
    """The pictures and the attention of every layer (figure 13)."""
    name = cast.roles[ATTENTION]
    depth = 1 + cast.policy_here(with_parameters(name, layer=-1)).layer
    names = [with_parameters(name, layer=layer) for layer in range(depth)]
    titles = [f"layer {1 + layer}" for layer in range(depth)]
    return _show_maps(cast, sample, names, titles, f"Pictures and the maps of {name} by layer")


def _show_maps(
    cast: Cast, sample: Sample, names: list[str], titles: list[str], alt: str
) -> tuple[Any, str]:
    """Every picture with its maps beside it, on as many lines as they need."""
    maps = [cast.policy_here(name).maps(sample.pixels).cpu().numpy() for name in names]
    across = min(len(names), _ACROSS)
    lines = -(-len(names) // across)
    figure, axes = panels(lines * len(sample.pixels), 1 + across)
    for one in axes.flat:
        one.set_axis_off()
    for row in range(len(sample.pixels)):
        axes[row * lines, 0].imshow(_pixels(sample.pixels[row]))
        for place, title in enumerate(titles):
            one = axes[row * lines + place // across, 1 + place % across]
            one.imshow(_relative(maps[place][row]), cmap="magma", vmin=0, vmax=1)
            if row == 0:
                one.set_title(title, fontsize=9)
    return figure, f"{alt}: {', '.join(titles)}; bright is looked at first."


def _relative(saliency: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "rows cols"]:
    low, high = saliency.min(), saliency.max()
    return (saliency - low) / max(high - low, 1e-12)


def _show_state(axes: Any, state: core.State, sample: Sample, row: int) -> None:
    config = SaccadeConfig(sample.judge.grid, 3, state.fixations.shape[1])
    patch = sample.judge.patch_size
    shown = drawing.moment(state, config, patch, sample.names, row)
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
    right = [n for n, state in enumerate(states, start=1) if bool(core.correct(state)[row])]
    return f"{name} is right from saccade {right[0]}" if right else f"{name} is never right"


def _pixels(image: UInt8[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    return image.permute(1, 2, 0).cpu().numpy()
