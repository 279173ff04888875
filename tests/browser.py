"""A headless Chromium that reaches no other machine and keeps what pages complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_LOCAL = {"127.0.0.1", "localhost"}


class Browser:
    """Opens tabs.

    Attributes:
        complaints: What pages wrote to the console or threw, and requests that were refused.
        asked: Addresses that pages asked for, data URIs left out.
    """

    def __init__(self, launched: Any) -> None:
        self._launched = launched
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def open(
        self,
        address: str = "about:blank",
        width: int = 1200,
        height: int = 900,
        scheme: str = "light",
        **context: Any,
    ) -> Any:
        """A tab of its own context at an address; further settings are Playwright's."""
        size = {"width": width, "height": height}
        opened = self._launched.new_context(viewport=size, color_scheme=scheme, **context)
        opened.route("**/*", self._only_here)
        tab = opened.new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("requestfailed", self._failed)
        tab.on("request", self._note)
        tab.goto(address)
        return tab

    def _note(self, request: Any) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)

    def _failed(self, request: Any) -> None:
        stream = "/queue/data" in request.url  # which ends when its reader has heard enough
        if not (stream and request.failure == "net::ERR_ABORTED"):
            self.complaints.append(f"{request.failure}: {request.url[:99]}")

    def _only_here(self, route: Any) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("file", "data", "blob", "about") or address.hostname in _LOCAL:
            route.continue_()
        else:
            route.abort()


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser; the test is skipped where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    reason = "needs playwright (pip install playwright)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found, args=_QUIET)
        yield Browser(launched)
        launched.close()


def scrolls_sideways(tab: Any, selector: str = "html") -> bool:
    """Whether something is wider than its place."""
    widths = "name => (box => box.scrollWidth > box.clientWidth)(document.querySelector(name))"
    return bool(tab.evaluate(widths, selector))
