"""The player of scanpaths: one custom element, ``<saccade-player>``, for pages of any kind.

Its script and style are files beside this one, delivered as one text: there is no build step, and
nothing is asked of a network. What it plays is defined in :mod:`saccade_env.drawing.scanpaths`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2

from saccade_env.drawing import style
from saccade_env.drawing.scanpaths import EMBED as EMBED
from saccade_env.drawing.scanpaths import Run as Run
from saccade_env.drawing.scanpaths import check_scanpaths as check_scanpaths
from saccade_env.drawing.scanpaths import scanpaths as scanpaths

Document = Mapping[str, Any]
_COLOURS = {
    "ink": style.INK, "faint": style.FAINT, "paper": style.PAPER, "black": style.BLACK,
    "blue": style.BLUE, "orange": style.ORANGE, "yellow": style.YELLOW, "sky": style.SKY,
}  # fmt: skip


def element(document: Document | Sequence[Document], **attributes: str | bool) -> str:
    """The markup of a player, to be set into a page that has the :func:`script`.

    Args:
        document: Scanpaths, or those of several pictures of which the reader chooses one.
        attributes: Others of the element, such as ``theme="dark"``, ``at="last"`` or
            ``autoplay=True``; an underscore is a hyphen.
    """
    # In single quotes the many double quotes of JSON need no escape.
    data = html.escape(_compact(document), quote=False).replace("'", "&#39;")
    given = [
        (name.replace("_", "-"), value) for name, value in attributes.items() if value is not False
    ]
    others = [
        name if value is True else f'{name}="{html.escape(str(value))}"' for name, value in given
    ]
    opening = " ".join(["<saccade-player", *others, f"data-scanpaths='{data}'"])
    return f"{opening}></saccade-player>"


@lru_cache(maxsize=1)
def script() -> str:
    """The text of the script, its style within: safe inside a ``<script>`` element too."""
    text, css = _file("player.js"), _file("player.css")
    colours = "".join(f"--{name}:{colour};" for name, colour in _COLOURS.items())
    for name, value in (("style", css), ("colours", f".player{{{colours}}}")):
        text = text.replace(f'"{{{{ {name} }}}}"', json.dumps(value).replace("</", "<\\/"))
    return text


def source_hash(text: str) -> str:
    """What a Content-Security-Policy calls a script or style of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(documents: Sequence[Document], title: str) -> str:
    """One HTML file with a player for each document, and tables for who has no scripts.

    Raises:
        ValueError: A document is no scanpaths, or its picture is not within it.
    """
    checked = [check_scanpaths(document) for document in documents]
    for document in checked:
        if not (document["picture"] or "data:").startswith("data:"):
            raise ValueError(
                f"the page must hold its pictures: embed this one; got {document['picture']!r:.60}"
            )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent}
    css, code = _file("page.css"), script()
    return environment.from_string(_file("player.html.j2")).render(
        title=title,
        # A headline is not said twice.
        documents=[
            (document, element(document | ({"title": ""} if document["title"] == title else {})))
            for document in checked
        ],
        css=css,
        script=code,
        policy="; ".join([
            "default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'",
            f"script-src {source_hash(code)}", f"style-src {source_hash(css)}",
        ]),
    )  # fmt: skip


def _compact(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", "\u00a0%")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
