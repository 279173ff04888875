"""Opens the page to browsers: what may come in, and how long the server runs.

Gradio has ways to take and give files, to call functions past the queue, and to speak with its
maker's hub. The page needs none of them. So only what its own browser asks for comes in; all else
is refused before Gradio sees it, and so is whatever tells Gradio to fetch a file.
"""

from __future__ import annotations

import hmac
import json
import socket
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
_OPEN = {
    "/", "/config", "/login", "/login/", "/logout", "/theme.css", "/favicon.ico", "/manifest.json",
    *(
        f"/gradio_api/{name}"
        for name in (
            "queue/join", "queue/data", "cancel", "reset", "info", "startup-events", "user",
            "token", "login_check", "login_check/", "app_id", "theme.css",
        )
    ),
}  # fmt: skip
_OPEN_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/")
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
    """ASGI middleware that lets in what the page asks for, and nothing else."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if scope["type"] != "http" or not (path in _OPEN or path.startswith(_OPEN_BELOW)):
            await _refuse(send, 403, "The page does not need this, so it is closed.")
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LONGEST or message["type"] != "http.request":
                await _refuse(send, 413, "This is more than the page takes.")
                return
        if path == "/gradio_api/queue/join" and not _is_plain(body):
            await _refuse(send, 400, "The page takes no files by their path or address.")
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, again, dressed)


def _is_plain(body: bytes) -> bool:
    """Whether a message is JSON in which nothing claims to be a file, which Gradio would fetch."""
    try:
        left = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "meta" in one:
                return False
            left += one.values()
        elif isinstance(one, list):
            left += one
    return True


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
        server_port=check_port(settings.host, settings.port),
        auth=None if settings.password is None else _asks(settings.password),
        auth_message="Any name will do; the password is whoever's who opened this page.",
        share=False,
        quiet=True,
        prevent_thread_lock=not block,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        pwa=False,
        allowed_paths=[],
        mcp_server=False,
        footer_links=[],
        max_file_size=LARGEST,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(Doorkeeper)], "openapi_url": None},
        **looks(),
    )
    return page, address


def _asks(password: str) -> Callable[[str, str], bool]:
    return lambda _, given: hmac.compare_digest(given.encode(), password.encode())


def check_port(host: str, port: int) -> int:
    """Let a port pass that is free, or find one for 0.

    Raises:
        OSError: It is taken, or the address is none of this machine's.
    """
    try:
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            return int(found.getsockname()[1])
    except OSError as error:
        remedy = "; --port 0 takes a free one" if port else ""
        reason = error.strerror or error
        raise OSError(f"the page cannot be opened at {host}:{port}: {reason}{remedy}") from error
