"""Which picture: of the sample, of the page's images, or a visitor's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from saccade_env.app import widgets
from saccade_env.app.studio import SAMPLE, Studio
from saccade_env.app.upload import check_upload, read_upload
from saccade_env.images import Picture

UPLOAD = "upload"
KEPT = 3600  # seconds after which what a visitor chose or watched is forgotten


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


def choice(studio: Studio, name: str) -> tuple[gr.HTML, gr.State]:
    """A picker and what was picked."""
    source = None if studio.source_is_sample else studio.source
    sample = studio.opened(studio.classifiers[0]).sources[SAMPLE]
    picker = widgets.picker(sample, source, elem_id=name)
    chosen = gr.State(Chosen(), time_to_live=KEPT)

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

    picker.select(select, None, [chosen, picker], **widgets.PEOPLE)
    picker.upload(upload, None, [chosen, picker], **widgets.PEOPLE)
    return picker, chosen
