"""The first tab: policies look at a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import torch

from saccade_env import core
from saccade_env.app import widgets
from saccade_env.app.choice import KEPT, UPLOAD, choice, picture_of, where
from saccade_env.app.keep import KINDS, Watched, file_of
from saccade_env.app.score import score
from saccade_env.app.studio import (
    MOST_POLICIES,
    MOST_SACCADES,
    ORACLE,
    Asked,
    Studio,
)
from saccade_env.drawing.frame import class_name
from saccade_env.drawing.scanpaths import Run


def controls(studio: Studio) -> tuple[gr.Dropdown, gr.Dropdown, gr.Radio, gr.Slider]:
    """Classifier, policies, fovea and saccades."""
    usual = studio.config
    offered = [name for name in studio.names if name != ORACLE]
    liked = [name for name in ("focus-saliency", "dino", "agent-periphery") if name in offered]
    classifier = gr.Dropdown(studio.classifiers, value=studio.classifiers[0], label="Classifier")
    policies = gr.Dropdown(
        studio.names, value=(liked or offered)[:2], multiselect=True, max_choices=MOST_POLICIES,
        label=f"Policies, up to {MOST_POLICIES}",
    )  # fmt: skip
    fovea = gr.Radio(
        [(f"{side}×{side}", side) for side in studio.foveae],
        value=usual.fovea,
        label="Fovea, in tokens",
        elem_id="watch-fovea",
    )
    saccades = gr.Slider(1, MOST_SACCADES, usual.max_saccades, step=1, label="Saccades")
    return classifier, policies, fovea, saccades


class Watching:
    """What the tab's buttons do."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    @widgets.in_words
    def watch(
        self,
        picked: Any,
        own: bytes,
        classifier: str,
        policies: Sequence[str],
        fovea: int,
        saccades: int,
    ) -> Iterator[Any]:
        """Player, table, what was watched, row of downloads, status and link, policy by policy."""
        studio, refused = self._studio, list[str]()
        picture = picture_of(studio, picked, own, classifier)
        asked = Asked(picture, classifier, tuple(policies or ()), fovea, int(saccades))
        studio.task(asked)
        if not asked.policies:
            raise ValueError("Choose a policy first.")
        yield [gr.skip()] * 4 + [widgets.status("They look…"), _permalink(picked, asked)]
        runs, whole = list[Run](), None
        for name in asked.policies:
            try:
                for run in studio.running(asked, name):
                    made = len(run.states) - 1
                    said = f"{name} looks: saccade {made} of {asked.saccades}."
                    yield [gr.skip()] * 4 + [widgets.status(said), gr.skip()]
            except ValueError as error:
                refused.append(f"{error}.")
                continue
            runs.append(run)
            whole = studio.whole(asked, run) if whole is None else whole
            document = studio.scanpaths(asked, runs, whole)
            result = Watched(asked, list(runs), document, whole)
            row = gr.update(visible=True)
            yield document, _table(studio, result), result, row, gr.skip(), gr.skip()
        done = f"{', '.join(run.name for run in runs)}: done." if runs else ""
        yield [gr.skip()] * 4 + [widgets.status(" ".join([*refused, done])), gr.skip()]

    @widgets.in_words
    def keep(self, kind: str, result: Watched | None) -> Iterator[Any]:
        """A file to download, and status."""
        if result is None:
            raise ValueError("Nothing was watched yet.")
        for made in file_of(self._studio, result, kind):
            if isinstance(made, str):
                yield gr.skip(), widgets.status(made)
            else:
                yield made, widgets.status(f"{made['name']} is on its way to you.")


def tab(studio: Studio) -> list[gr.components.Component]:
    """Draw the tab.

    Returns:
        What a permalink sets: picker, classifier, policies, fovea, saccades.
    """
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picker, own = choice(studio, "watch-picker")
            settings = controls(studio)
            with gr.Row():
                go = gr.Button("Watch", variant="primary", elem_id="watch-go")
                halt = gr.Button("Stop", elem_id="watch-stop")
            said = widgets.html(widgets.status("Choose a picture and policies, then Watch."))
            link = widgets.html("")
        with gr.Column(scale=2, min_width=320):
            shown = widgets.player("autoplay", elem_id="watch-player")
            table = widgets.html("", elem_id="watch-table")
            with gr.Row(visible=False) as row:
                buttons = {kind: gr.Button(kind, size="sm") for kind in KINDS}
            file = widgets.download()
    watched, does = gr.State(None, time_to_live=KEPT), Watching(studio)
    work = widgets.WORK
    outputs = [shown, table, watched, row, said, link]
    running = [go.click(does.watch, [picker, own, *settings], outputs, **work)]
    for kind, button in buttons.items():
        running.append(button.click(partial(does.keep, kind), watched, [file, said], **work))
    widgets.stops(halt, running, said, studio.rest)
    return [picker, *settings]


def from_link(studio: Studio, query: Any) -> list[Any]:
    """Values of what :func:`tab` returned, as a permalink says; what is wrong in it is ignored.

    ``query`` has ``get`` and ``getlist``.
    """
    source, _, place = (query.get("picture") or "").partition(":")
    picked, classifier = gr.skip(), query.get("classifier")
    with suppress(ValueError, OSError):
        studio.picture(source, int(place), studio.classifiers[0])
        picked = widgets.picked(source, int(place))
    policies = [name for name in query.getlist("policy") if name in studio.names][:MOST_POLICIES]
    fovea, saccades = (_whole(query.get(name)) for name in ("fovea", "saccades"))
    return [
        picked,
        classifier if classifier in studio.classifiers else gr.skip(),
        policies or gr.skip(),
        fovea if fovea in studio.foveae else gr.skip(),
        saccades if 1 <= saccades <= MOST_SACCADES else gr.skip(),
    ]


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 4 else 0


def _permalink(picked: Any, asked: Asked) -> str:
    source, place = where(picked)
    if source == UPLOAD:
        return ""
    pairs = [
        ("picture", f"{source}:{place}"),
        ("classifier", asked.classifier),
        *(("policy", name) for name in asked.policies),
        ("fovea", str(asked.fovea)),
        ("saccades", str(asked.saccades)),
    ]
    address = widgets.escape("?" + urlencode(pairs))
    return f'<a class="permalink" href="{address}">Link to these settings</a>'


def _table(studio: Studio, result: Watched) -> str:
    """What the classifier believes in the end."""
    names = studio.class_names(result.asked.classifier)
    rows = []
    for run in result.runs:
        state = run.states[-1]
        found = score(run, result.asked.saccades)
        first = [] if found.right is None else [str(found.first_right or "never")]
        rows.append(
            [
                run.name, run.sees, *_belief(state.logits[0], names),
                f"{float(core.visible_share(state.revealed)[0]):.0%}", *first,
            ]
        )  # fmt: skip
    whole = ["whole picture", "", *_belief(result.whole, names), "100%"]
    heads = ["policy", "sees", "prediction", "probability", "certainty", "visible"]
    if result.asked.picture.label is not None:
        heads.append("first right at")
        whole.append("")
    return widgets.table("After the last saccade", heads, [*rows, whole])


def _belief(logits: torch.Tensor, names: Sequence[str] | None) -> list[str]:
    share, best = logits.softmax(-1).max(-1)
    return [
        class_name(int(best), names), f"{float(share):.0%}",
        f"{float(core.certainty(logits[None])[0]):.2f}",
    ]  # fmt: skip
