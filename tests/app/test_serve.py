"""The door of the page: what is refused before Gradio sees it, and who has to know a password."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from saccade_env.app.serve import LONGEST, Doorkeeper, _asks


def asked(
    path: str, body: tuple[bytes, ...] = (b"",), **headers: str
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Status, body and headers; the page behind the door answers with the bytes it was sent."""
    told: list[dict[str, Any]] = []
    parts = [
        {"type": "http.request", "body": part, "more_body": number < len(body)}
        for number, part in enumerate(body, start=1)
    ]

    async def page(scope: Any, receive: Any, send: Any) -> None:
        message, taken = await receive(), 0
        while message["type"] == "http.request":
            taken += len(message["body"])
            if not message["more_body"]:
                break
            message = await receive()
        code = 200 if message["type"] == "http.request" else 499
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": str(taken).encode()})

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "path": path,
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()],
    }
    asyncio.run(Doorkeeper(page)(scope, receive, send))
    start, end = told
    return start["status"], end["body"], dict(start["headers"])


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload", "/upload", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd", "/gradio_api/proxy=https://example.org",
        "/gradio_api/component_server", "/gradio_api/stream/x",
    ],
)  # fmt: skip
def test_files_are_neither_taken_nor_given(path: str) -> None:
    status, body, _ = asked(path)
    assert (status, body) == (403, b"This page takes and gives no files by their path.")


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/join", "/assets/x.js"])
def test_the_page_itself_passes_and_is_told_to_stay_home(path: str) -> None:
    status, body, headers = asked(path, (b"abc", b"de"), content_length="5")
    assert (status, body) == (200, b"5")
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy


@pytest.mark.parametrize("length", [str(LONGEST + 1), "-1", "many", "1" + "0" * 30])
def test_what_is_too_long_is_refused_unread(length: str) -> None:
    assert asked("/gradio_api/queue/join", content_length=length)[0] == 413


def test_what_is_too_long_but_does_not_say_so_ends_early() -> None:
    part = bytes(LONGEST // 4)
    status, body, _ = asked("/gradio_api/queue/join", (part,) * 8)
    assert status == 499
    assert int(body) <= LONGEST


def test_a_password_is_asked_for_with_any_name() -> None:
    asks = _asks("sesame ✓")
    assert asks("anybody", "sesame ✓")
    assert not asks("anybody", "sesame")
    assert not asks("sesame ✓", "")
