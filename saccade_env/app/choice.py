"""Which picture: of the sample, of the page's images, or a visitor's own.

What is picked goes with the button that is pressed, as the picker's value; only the bytes of an own
picture stay here, in the visitor's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from saccade_env.app import widgets
from saccade_env.app.studio import SAMPLE, Studio
from saccade_env.app.upload import RefusedError, check_upload, read_upload
from saccade_env.images import Picture

UPLOAD = "upload"
KEPT = 3600  # seconds after which a visitor's picture, or what was watched, is forgotten


def choice(studio: Studio, name: str) -> tuple[gr.HTML, gr.State]:
    """A picker, and the bytes of the visitor's own picture."""
    source = None if studio.source_is_sample else studio.source
    sample = studio.opened(studio.classifiers[0]).sources[SAMPLE]
    picker = widgets.picker(sample, source, elem_id=name)
    own = gr.State(b"", time_to_live=KEPT)

    @widgets.in_words
    def upload(event: gr.EventData) -> Iterator[Any]:
        try:
            data = check_upload(widgets.field(event, "data"))
            pixels = read_upload(data, studio.preprocess(studio.classifiers[0])).image
        except RefusedError as error:
            yield b"", widgets.picked("", -1, str(error))
            return
        said = "This is what the classifier gets. It is kept until you leave, in memory alone."
        yield data, widgets.picked(UPLOAD, -1, said, widgets.picture(pixels))

    picker.upload(upload, None, [own, picker], **widgets.PEOPLE)
    return picker, own


def where(picked: Any) -> tuple[str, int]:
    """Where a picked picture is from, and its place; from a browser, so it may be anything.

    Raises:
        ValueError: It is nothing that can be picked.
    """
    found = picked if isinstance(picked, Mapping) else {}
    source, place = found.get("where"), found.get("place")
    if not isinstance(source, str) or not isinstance(place, int) or isinstance(place, bool):
        raise ValueError("Choose a picture first.")
    return source, place


def picture_of(studio: Studio, picked: Any, own: bytes, classifier: str) -> Picture:
    """The picture at the size of a classifier.

    Raises:
        ValueError: There is no such picture.
    """
    source, place = where(picked)
    if source == UPLOAD:
        return read_upload(own, studio.preprocess(classifier))
    return studio.picture(source, place, classifier)
