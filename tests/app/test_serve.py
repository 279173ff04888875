"""The door of the page: what is refused before Gradio sees it, and who has to know a password."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')

from saccade_env.app.serve import LONGEST, Doorkeeper, _asks


def asked(
    path: str, body: tuple[bytes, ...] = (b"{}",), root: str = ""
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

    scope = {"type": "http", "method": "POST", "path": path, "root_path": root, "headers": []}
    asyncio.run(Doorkeeper(page)(scope, receive, send))
    start, end = told
    return start["status"], end["body"], dict(start["headers"])


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload", "/upload", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd", "/gradio_api/proxy=https://example.org", "//config",
        "/gradio_api/component_server", "/gradio_api/stream/x", "/gradio_api/run/watch",
        "/gradio_api/call/watch", "/api/compare", "/gradio_api/run-history/buckets",
        "/gradio_api/process_recording", "/openapi.json", "/monitoring", "/gradio_api/mcp/sse",
    ],
)  # fmt: skip
@pytest.mark.parametrize("root", ["", "/proxy"])
def test_only_what_the_page_needs_is_open(path: str, root: str) -> None:
    assert asked(root + path, root=root)[0] == 403
    assert asked(f"{root}/config", root=root)[0] == 200


@pytest.mark.parametrize("path", ["/", "/config", "/assets/x.js", "/gradio_api/heartbeat/abc"])
def test_the_page_itself_passes_and_is_told_to_stay_home(path: str) -> None:
    status, body, headers = asked(path, (b"abc", b"de"))
    assert (status, body) == (200, b"5")
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_what_is_too_long_is_refused() -> None:
    assert asked("/gradio_api/queue/join", (bytes(LONGEST // 4),) * 8)[0] == 413


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"data": [1, "two", {"where": "sample"}], "event_data": None}, 200),
        ({"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}, 400),
        ({"event_data": {"a": [[{"url": "http://x", "meta": 1}]]}}, 400),
        ("\ud800", 200),
        (None, 400),
        ("deep", 400),
    ],
)
def test_nothing_may_claim_to_be_a_file(message: Any, status: int) -> None:
    body = {"deep": b"[" * 100_000, None: b"no json"}.get(
        message if not isinstance(message, dict) else 0, json.dumps(message).encode()
    )
    assert asked("/gradio_api/queue/join", (body,))[0] == status


def test_a_password_is_asked_for_with_any_name() -> None:
    asks = _asks("sesame ✓")
    assert asks("anybody", "sesame ✓")
    assert not asks("anybody", "sesame")
    assert not asks("sesame ✓", "")
