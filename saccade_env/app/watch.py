"""The first tab: policies look at a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import gradio as gr
import torch

from saccade_env import core, rendering
from saccade_env.app import widgets
from saccade_env.app.studio import (
    MOST_POLICIES,
    MOST_SACCADES,
    ORACLE,
    SAMPLE,
    Asked,
    Studio,
)
from saccade_env.app.upload import check_upload, read_upload
from saccade_env.drawing import player as players
from saccade_env.drawing.scanpaths import Run
from saccade_env.drawing.video import encoder
from saccade_env.evaluation.records import frame_of
from saccade_env.evaluation.rollout import collect
from saccade_env.images import Picture

QUEUE = "networks"  # of all that lets policies run: one at a time
UPLOAD = "upload"
_KINDS = {"GIF": "image/gif", "MP4": "video/mp4", "HTML": "text/html", "Records": "text/csv"}
_SECONDS = 0.7  # a frame of a film


class Chosen(NamedTuple):
    """Which picture a visitor has chosen; ``data`` are the bytes of an own one."""

    where: str = SAMPLE
    place: int = 0
    data: bytes = b""

    def picture(self, studio: Studio, classifier: str) -> Picture:
        """The picture at the size of a classifier."""
        if self.where == UPLOAD:
            return read_upload(self.data, studio.preprocess(classifier))
        return studio.picture(self.where, self.place, classifier)


class Watched(NamedTuple):
    """What was last watched, for whoever wants to keep it."""

    asked: Asked
    runs: list[Run]
    document: dict[str, Any]
    whole: torch.Tensor


def choice(studio: Studio, name: str) -> tuple[gr.HTML, gr.State]:
    """A picker and what was picked."""
    source = None if studio.source_is_sample else studio.source
    sample = studio.opened(studio.classifiers[0]).sources[SAMPLE]
    picker = widgets.picker(sample, source, elem_id=name)
    chosen = gr.State(Chosen(), time_to_live=3600)

    @widgets.in_words
    def select(event: gr.EventData) -> Iterator[Any]:
        where, place = (widgets.field(event, key) for key in ("where", "place"))
        studio.picture(where, place, studio.classifiers[0])  # refuses what is not there
        yield Chosen(where, place), widgets.picked(where, place)

    @widgets.in_words
    def upload(event: gr.EventData) -> Iterator[Any]:
        try:
            data = check_upload(widgets.field(event, "data"))
            pixels = read_upload(data, studio.preprocess(studio.classifiers[0])).image
        except ValueError as error:
            yield gr.skip(), widgets.picked("", -1, str(error))
            return
        said = "This is what the classifier gets. It is kept until you leave, in memory alone."
        shown = widgets.picked(UPLOAD, -1, said, widgets.data_uri(pixels))
        yield Chosen(UPLOAD, -1, data), shown

    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    picker.select(select, None, [chosen, picker], **options)
    picker.upload(upload, None, [chosen, picker], **options)
    return picker, chosen


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
    )
    saccades = gr.Slider(1, MOST_SACCADES, usual.max_saccades, step=1, label="Saccades")
    return classifier, policies, fovea, saccades


def tab(studio: Studio) -> list[gr.components.Component]:
    """Draw the tab.

    Returns:
        What a permalink sets: picker, choice, classifier, policies, fovea, saccades.
    """
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picker, chosen = choice(studio, "watch-picker")
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
                buttons = {kind: gr.Button(kind, size="sm") for kind in _KINDS}
            file = widgets.download()
    watched = gr.State(None, time_to_live=3600)

    @widgets.in_words
    def watch(
        chosen: Chosen, classifier: str, policies: Sequence[str], fovea: int, saccades: int
    ) -> Iterator[Any]:
        picture = chosen.picture(studio, classifier)
        asked = Asked(picture, classifier, tuple(policies), fovea, int(saccades))
        studio.task(asked)
        yield [gr.skip()] * 4 + [widgets.status(_told(asked, 0)), _permalink(chosen, asked)]
        whole = None
        for runs in studio.watch(asked):
            whole = studio.whole(asked, runs[0]) if whole is None else whole
            document = studio.scanpaths(asked, runs, whole)
            result = Watched(asked, list(runs), document, whole)
            done = widgets.status(_told(asked, len(runs)))
            yield document, _table(studio, result), result, gr.update(visible=True), done, gr.skip()

    outputs = [shown, table, watched, row, said, link]
    running = go.click(
        watch, [chosen, *settings], outputs, concurrency_id=QUEUE, concurrency_limit=1,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    halt.click(
        lambda: widgets.status("Stopped."), None, said, cancels=running, queue=False,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    for kind, button in buttons.items():

        @widgets.in_words
        def keep(result: Watched | None, kind: str = kind) -> Iterator[Any]:
            if result is None:
                raise ValueError("Nothing was watched yet.")
            yield gr.skip(), widgets.status(f"{kind} is made…")
            made = _file(studio, result, kind)
            yield made, widgets.status(f"{made['name']} is on its way to you.")

        button.click(
            keep, watched, [file, said], show_progress="hidden", api_visibility="private",
            concurrency_id=QUEUE,
        )  # fmt: skip
    return [picker, chosen, *settings]


def from_link(studio: Studio, query: Any) -> list[Any]:
    """Values of what :func:`tab` returned, as a permalink says; what is wrong in it is ignored.

    ``query`` has ``get`` and ``getlist``.
    """
    where, _, place = (query.get("picture") or f"{SAMPLE}:0").partition(":")
    chosen, classifier = Chosen(), query.get("classifier")
    try:
        studio.picture(where, int(place), studio.classifiers[0])
        chosen = Chosen(where, int(place))
    except (ValueError, OSError):
        pass
    policies = [name for name in query.getlist("policy") if name in studio.names][:MOST_POLICIES]
    fovea, saccades = (_whole(query.get(name)) for name in ("fovea", "saccades"))
    return [
        widgets.picked(chosen.where, chosen.place),
        chosen,
        classifier if classifier in studio.classifiers else gr.skip(),
        policies or gr.skip(),
        fovea if fovea in studio.foveae else gr.skip(),
        saccades if 1 <= saccades <= MOST_SACCADES else gr.skip(),
    ]


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 4 else 0


def _permalink(chosen: Chosen, asked: Asked) -> str:
    if chosen.where == UPLOAD:
        return ""
    pairs = [
        ("picture", f"{chosen.where}:{chosen.place}"),
        ("classifier", asked.classifier),
        *(("policy", name) for name in asked.policies),
        ("fovea", str(asked.fovea)),
        ("saccades", str(asked.saccades)),
    ]
    address = widgets.escape("?" + urlencode(pairs))
    return f'<a class="permalink" href="{address}">Link to these settings</a>'


def _told(asked: Asked, done: int) -> str:
    if done == len(asked.policies):
        return f"{', '.join(asked.policies)}: done."
    return f"{asked.policies[done]} looks ({done + 1} of {len(asked.policies)})…"


def _table(studio: Studio, result: Watched) -> str:
    """What the classifier believes in the end."""
    names = studio.class_names(result.asked.classifier)
    rows = []
    for run in result.runs:
        state = run.states[-1]
        hits = [bool(core.correct(one)[0]) for one in run.states[1:]]
        first = str(1 + hits.index(True)) if True in hits else "never"
        labelled = int(state.labels[0]) != core.UNLABELLED
        rows.append(
            [
                run.name, run.sees, *_belief(state.logits[0], names),
                f"{float(core.visible_share(state.revealed)[0]):.0%}", *([first] * labelled),
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
        widgets.named(int(best), names), f"{float(share):.0%}",
        f"{float(core.certainty(logits[None])[0]):.2f}",
    ]  # fmt: skip


def _file(studio: Studio, result: Watched, kind: str) -> dict[str, str]:
    """A file to download, as ``widgets.download`` wants it."""
    if kind == "Records":
        data, suffix = _records(result).encode(), "csv"
    elif kind == "HTML":
        page = players.page([result.document], f"Scanpaths over {result.asked.picture.id}")
        data, suffix = page.encode(), "html"
    else:
        suffix = kind.lower()
        data = encoder(Path(f"scanpath.{suffix}"))(_frames(studio, result), _SECONDS)
    text = base64.b64encode(data).decode()
    return {"name": f"scanpath.{suffix}", "uri": f"data:{_KINDS[kind]};base64,{text}"}


def _frames(studio: Studio, result: Watched) -> list[Any]:
    """The film's frames, all policies on each."""
    asked, frames = result.asked, []
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
        frames.append(rendering.tiled(drawn))
    return frames


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
