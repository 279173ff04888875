"""What the tabs are made of: a player, a board to look on, a choice of pictures, tables, maps.

Each is a ``gr.HTML`` whose value is plain data; what it shows is set as text or through escaping.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from html import escape
from importlib import resources
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from saccade_env.app.upload import LARGEST
from saccade_env.classifiers.weights import WeightsError
from saccade_env.drawing.data_uri import picture_uri
from saccade_env.images import BrokenImageError, ImageSource
from saccade_env.observe.activation import scaled

# How events run that let networks work, one at a time; and people's, who do not wait for them.
WORK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_id": "networks",
    "concurrency_limit": 1,
    "trigger_mode": "multiple",  # a page may take what was stopped to be still under way
}
PEOPLE = {**WORK, "concurrency_id": "people", "trigger_mode": "once"}
_THUMBNAIL, _MAP = 72, 224  # pixels a side
_BOARD = "<saccade-board hidden></saccade-board>"
_BOARD_JS = """
const board = element.querySelector("saccade-board");
const show = () => { board.board = props.value; };
watch("value", show);
board.addEventListener("look", (event) => trigger("select", event.detail));
board.addEventListener("timeup", () => trigger("stop"));
show();
"""
_DOWNLOAD_JS = """
watch("value", () => {
  if (!props.value) return;
  const link = document.createElement("a");
  [link.href, link.download] = [props.value.uri, props.value.name];
  link.click();
});
"""


def read(name: str) -> str:
    """A file of this room."""
    return resources.files("saccade_env.app").joinpath(name).read_text(encoding="utf-8")


def html(value: Any, **keywords: Any) -> gr.HTML:
    """A part of the page in our own style."""
    return gr.HTML(value, apply_default_css=False, **keywords)


def player(attributes: str, **keywords: Any) -> gr.HTML:
    """Plays what its value holds, see :mod:`saccade_env.drawing.player`; None shows nothing."""
    markup = f"<saccade-player hidden {attributes}></saccade-player>"
    return html(None, html_template=markup, js_on_load=read("show_player.js"), **keywords)


def board(**keywords: Any) -> gr.HTML:
    """A hidden picture; ``select`` brings (row, col) of a look, ``stop`` that the time is over."""
    return html(None, html_template=_BOARD, js_on_load=_BOARD_JS, **keywords)


def download(**keywords: Any) -> gr.HTML:
    """Hands the browser what its value holds, ``{"name": …, "uri": …}``, as a file."""
    return html(None, html_template="", js_on_load=_DOWNLOAD_JS, visible="hidden", **keywords)


def picker(sample: ImageSource, source: ImageSource | None, **keywords: Any) -> gr.HTML:
    """A choice of a picture: of the sample, of the page's images, or a file.

    Its value says which, see :func:`picked`; ``upload`` brings a file as a data URI.
    """
    name = keywords["elem_id"]
    radios = "".join(
        f'<label><input type="radio" name="{name}" value="{place}">'
        f'<img src="{_thumbnail(sample, place)}" alt="{_literal(_called(sample, place))}" '
        f'title="{_literal(_called(sample, place))}" width="56" height="56"></label>'
        for place in range(len(sample))
    )
    numbered = ""
    if source is not None:
        numbered = (
            f'<label class="line">or picture number, 0 to {len(source) - 1}, of '
            f'{_literal(source.name)}<input type="number" min="0" max="{len(source) - 1}"></label>'
        )
    template = (
        f'<fieldset class="picker"><legend>A picture</legend><div class="thumbs">{radios}</div>'
        f'{numbered}<label class="line" data-largest="{LARGEST}">or one of your own '
        '(it is not kept)<input type="file" accept="image/*"></label>'
        '<p role="status"></p><img class="preview" alt="Your picture, as the classifier gets it" '
        'hidden src="data:,"></fieldset>'
    )
    return html(
        picked("sample", 0), html_template=template, js_on_load=read("picker.js"), **keywords
    )


def picked(where: str, place: int, said: str = "", picture: str = "") -> dict[str, Any]:
    """The value of a picker."""
    return {"where": where, "place": place, "said": said, "picture": picture}


def picture(pixels: UInt8[Tensor, "3 height width"]) -> str:
    """A picture inside the page, as a data URI."""
    return picture_uri(Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()))


def heat(
    pixels: UInt8[Tensor, "3 height width"], values: Float[Tensor, "rows cols"], label: str
) -> str:
    """A map over its picture, as HTML: dark where it is lowest or unknown (NaN)."""
    from matplotlib import colormaps

    known = values.nan_to_num(float(values.nan_to_num(0).min()))
    levels = (255 * scaled(known[None])[0]).cpu().numpy().astype(np.uint8)
    size = (_MAP, _MAP)
    tokens = Image.fromarray(levels).resize(size, Image.Resampling.NEAREST)
    warm = Image.fromarray((255 * colormaps["magma"](np.asarray(tokens))[..., :3]).astype(np.uint8))
    below = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).convert("L").resize(size)
    mixed = Image.blend(below.convert("RGB"), warm, 0.65)
    return (
        f'<figure class="map"><img src="{picture_uri(mixed)}" width="{_MAP}" height="{_MAP}" '
        f'alt="{escape(label)}"><figcaption>{escape(label)}</figcaption></figure>'
    )


def gallery(figures: Sequence[str], caption: str = "") -> str:
    """Maps side by side, as HTML."""
    words = f"<p>{escape(caption)}</p>" if caption else ""
    return f'{words}<div class="maps">{"".join(figures)}</div>'


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML; the first column names its row."""
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="' + escape(caption) + '">'
        f'<table class="plain"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def status(words: str) -> str:
    """A line that a screen reader says when it changes, as HTML."""
    return f'<p role="status" class="said">{escape(words)}</p>'


def in_words(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """What a visitor can mend is said on the page, and nothing of this machine with it."""

    @wraps(function)
    def told(*args: Any, **keywords: Any) -> Iterator[Any]:
        try:
            yield from function(*args, **keywords)
        except BrokenImageError as error:
            raise gr.Error("This picture cannot be read; take another one.") from error
        except (ValueError, FloatingPointError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        except (OSError, ImportError, WeightsError) as error:
            warnings.warn(f"the page could not do what was asked: {error}", stacklevel=2)
            words = "This cannot be done on the machine that runs the page."
            raise gr.Error(words, print_exception=False) from error

    return told


def stops(button: gr.Button, running: list[Any], said: gr.HTML, rest: Callable[[], object]) -> None:
    """Let a button stop a visitor's own events, and say so once they rest."""

    def stop() -> Iterator[str]:
        yield status("It stops…")
        rest()
        yield status("Stopped.")

    button.click(stop, None, said, cancels=running, **PEOPLE)


def field(event: gr.EventData, name: str) -> Any:
    """What an event brought under a name; None if it brought no such thing."""
    data: Any = event._data
    return data.get(name) if isinstance(data, Mapping) else None


def _literal(text: str) -> str:
    """Text for a component's template, in which ``${…}`` and ``{{…}}`` would be run."""
    return escape(text).translate({ord(sign): f"&#{ord(sign)};" for sign in "${}"})


def _called(source: ImageSource, place: int) -> str:
    """The name of a picture in words."""
    return source.id(place).rpartition("/")[2].partition(".")[0].replace("_", " ")


def _thumbnail(source: ImageSource, place: int) -> str:
    pixels = source[place].image.permute(1, 2, 0).numpy()
    small = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    return picture_uri(small, "JPEG", quality=80)
