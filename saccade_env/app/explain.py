"""The third tab: what a saccade rests on: attention, saliency maps, what each token is worth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
import torch

from saccade_env.app import widgets
from saccade_env.app.choice import choice, picture_of
from saccade_env.app.studio import Studio
from saccade_env.evaluation.occlusion import count, occlusion
from saccade_env.policies.attention_maps import REDUCTIONS, attention_heads

_AS_IT_IS = "as it is"
_SIDES = (1, 3, 5)  # of the window that is hidden, in tokens
_PATCHES = (4, 7, 10, 14, 18, 24)  # a side of the input
_BATCH = 16


class Explaining:
    """What the tab's buttons do; each gives what is shown, and a status."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    @widgets.in_words
    def attend(
        self, picked: Any, own: bytes, classifier: str, network: str, layer: int, resolution: str
    ) -> Iterator[Any]:
        picture = picture_of(self._studio, picked, own, classifier)
        yield gr.skip(), widgets.status(f"{network} attends…")
        size = None if resolution == _AS_IT_IS else int(resolution)
        found, grid = self._studio.network(network), self._studio.opened(classifier).judge.grid
        with self._studio.working():
            heads = attention_heads(found, picture.image[None], grid, int(layer), size)[0]
        fused = {name: reduce(heads, 0) for name, reduce in REDUCTIONS.items()}
        each = {f"head {number}": one for number, one in enumerate(heads)}
        pictures = [
            widgets.heat(picture.image, one, name) for name, one in {**fused, **each}.items()
        ]
        words = f"Attention of {network}, layer {int(layer)}, input {resolution}"
        yield widgets.gallery(pictures, words), widgets.status(f"{words}: done.")

    @widgets.in_words
    def follow(self, picked: Any, own: bytes, classifier: str) -> Iterator[Any]:
        picture = picture_of(self._studio, picked, own, classifier)
        pictures = list[str]()
        words = "Saliency maps: bright is looked at first"
        yield gr.skip(), widgets.status("The first map is made…")
        for name, found in self._studio.maps(picture, classifier):
            pictures.append(widgets.heat(picture.image, found, name))
            said = widgets.status(f"{len(pictures)} maps; the next one is made…")
            yield widgets.gallery(pictures, words), said
        yield gr.skip(), widgets.status(f"{len(pictures)} maps: done.")

    @widgets.in_words
    def drop(self, picked: Any, own: bytes, classifier: str, side: int) -> Iterator[Any]:
        picture = picture_of(self._studio, picked, own, classifier)
        judge = self._studio.opened(classifier).judge.recomputing
        whole = torch.ones(1, *judge.grid, dtype=torch.bool)
        with self._studio.working():
            memory, total = judge.begin(picture.image[None]), count(whole, _BATCH)
        hiding = occlusion(memory, whole, judge, int(side), _BATCH)
        for done in range(1, total + 1):
            with self._studio.working():
                lost = next(hiding)
            pictures = [
                widgets.heat(picture.image, lost.certainty[0], "certainty lost"),
                widgets.heat(picture.image, lost.probability[0], "probability lost"),
            ]
            words = "What is lost without a token: bright is most"
            known = lost.certainty[0].nan_to_num(0)
            row, col = divmod(int(known.argmax()), judge.grid[1])
            most = f"Most certainty, {float(known.max()):.3f}, hangs on row {row}, column {col}"
            share = f"{done / total:.0%} of the tokens tried."
            yield (
                widgets.gallery(pictures, f"{words}. {most}."),
                widgets.status(share if done < total else f"{most}. Done."),
            )


def tab(studio: Studio) -> None:
    """Draw the tab."""
    networks = studio.networks
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picker, own = choice(studio, "explain-picker")
            classifier = gr.Dropdown(
                studio.classifiers, value=studio.classifiers[0], label="Classifier"
            )
            with gr.Group(visible=bool(networks)):
                network = gr.Dropdown(
                    networks, value=networks[0] if networks else None, label="Network that attends"
                )
                layer, resolution = _fitting(studio, networks[0] if networks else None)
                attend = gr.Button("Attention", elem_id="explain-attention")
            follow = gr.Button("Maps of all policies", elem_id="explain-maps")
            side = gr.Radio(
                [(f"{side}×{side}", side) for side in _SIDES], value=1,
                label="Hide a window of tokens",
            )  # fmt: skip
            drop = gr.Button("What a token is worth", elem_id="explain-drop")
            halt = gr.Button("Stop", elem_id="explain-stop")
            said = widgets.html(widgets.status("Choose a picture, and what to explain."))
        with gr.Column(scale=2, min_width=320):
            attention = widgets.html("", elem_id="explain-attention-shown")
            maps = widgets.html("", elem_id="explain-maps-shown")
            worth = widgets.html("", elem_id="explain-drop-shown")
    does, work = Explaining(studio), widgets.WORK
    asked = [picker, own, classifier]
    running = [
        attend.click(does.attend, [*asked, network, layer, resolution], [attention, said], **work),
        follow.click(does.follow, asked, [maps, said], **work),
        drop.click(does.drop, [*asked, side], [worth, said], **work),
    ]
    network.change(partial(_fitting, studio), network, [layer, resolution], **widgets.PEOPLE)
    widgets.stops(halt, running, said, studio.rest)


def _fitting(studio: Studio, name: str | None) -> tuple[gr.Slider, gr.Dropdown]:
    """The layers and input sizes of a network, if there is one."""
    last, patch = 1, 16
    if name is not None:
        network = studio.network(name)
        last, patch = len(network.blocks) - 1, network.patch_size
    sizes = [_AS_IT_IS, *(str(patch * count) for count in _PATCHES)]
    return (
        gr.Slider(0, last, last, step=1, label="Layer, from 0"),
        gr.Dropdown(sizes, value=_AS_IT_IS, label="Input, in pixels a side"),
    )
