"""Opens the page to browsers: what may come in, and how long the server runs.

Gradio has ways to take and give files. The page needs none of them, so they are closed: a request
that is larger than a picture, or asks for a file by its path, is refused before Gradio sees it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.middleware import Middleware

from saccade_env.app.page import build, looks
from saccade_env.app.settings import Settings
from saccade_env.app.studio import Studio
from saccade_env.app.upload import LARGEST

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LONGEST = LARGEST * 4 // 3 + 100_000  # bytes of a request: a picture as text, and what is around it
_CLOSED = ("/upload", "/file", "/proxy=", "/stream", "/deep_link", "/component_server", "/mcp")
# The page itself needs nothing from elsewhere; a browser is told so, whatever a script would like.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
SESSIONS = 100  # whose pictures and trials are remembered; who was silent longest is forgotten


class Doorkeeper:
    """ASGI middleware that refuses what the page never asks for."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix("/gradio_api")
        if path.startswith(_CLOSED):
            await _refuse(send, 403, "This page takes and gives no files by their path.")
            return
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not length.isdigit() or int(length) > LONGEST for length in lengths):
            await _refuse(send, 413, "This is more than the page takes.")
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # To whom says no length, or a wrong one, it is as if the connection had ended.
            return message if taken <= LONGEST else {"type": "http.disconnect"}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, counted, dressed)


async def _refuse(send: Send, code: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


def serve(studio: Studio, settings: Settings, block: bool = True) -> tuple[Any, str]:
    """Open the page.

    Args:
        studio: What it offers.
        settings: How.
        block: Return only when it is interrupted.

    Returns:
        Gradio's blocks, to be closed, and the address.

    Raises:
        OSError: The port is taken.
    """
    page = build(studio, settings)
    _, address, _ = page.launch(
        server_name=settings.host,
        server_port=settings.port or _free_port(settings.host),
        auth=None if settings.password is None else _asks(settings.password),
        auth_message="Any name will do; the password is whoever's who opened this page.",
        share=False,
        quiet=True,
        prevent_thread_lock=not block,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        footer_links=[],
        max_file_size=LARGEST,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(Doorkeeper)], "docs_url": None, "redoc_url": None},
        **looks(),
    )
    return page, address


def _asks(password: str) -> Callable[[str, str], bool]:
    return lambda _, given: hmac.compare_digest(given.encode(), password.encode())


def _free_port(host: str) -> int:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])
