"""The page: three tabs over one studio."""

from __future__ import annotations

import os
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported: it asks no server

import gradio as gr

from saccade_env.app import explain, play, watch, widgets
from saccade_env.app.settings import Settings
from saccade_env.app.studio import Studio
from saccade_env.drawing import player

TITLE = "saccade-env: where to look"
_INTRO = """<div class="intro"><h1>Where to look</h1>
<p>A fovea moves over a picture, one saccade at a time; a classifier sees only what was looked at.
Watch policies, look for yourself, and see why.</p></div>"""
MOST_WAITING = 256  # in all queues together; who comes then is told to come again
_FONTS: dict[str, Any] = {
    "font": ["system-ui", "sans-serif"],
    "font_mono": ["ui-monospace", "monospace"],
}


def build(studio: Studio, settings: Settings) -> gr.Blocks:
    """Draw the page."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        widgets.html(_INTRO)
        linked = list[Any]()
        with gr.Tabs():
            if "watch" in settings.tabs:
                with gr.Tab("Watch"):
                    linked = watch.tab(studio)
            if "play" in settings.tabs:
                with gr.Tab("Play"):
                    play.tab(studio, settings)
            if "explain" in settings.tabs:
                with gr.Tab("Explain"):
                    explain.tab(studio)

        def load(request: gr.Request) -> list[Any]:
            asked: Any = request.request
            return watch.from_link(studio, asked.query_params)

        if linked:
            page.load(load, None, linked, **widgets.PEOPLE)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
    return page


def looks() -> dict[str, Any]:
    """What makes the page look as it does; no font or script of it is from elsewhere."""
    scripts = f"<script>{player.script()}</script><script>{widgets.read('board.js')}</script>"
    return {
        "theme": gr.themes.Base(primary_hue="blue", **_FONTS),
        "css": widgets.read("page.css"),
        "head": scripts,
    }
