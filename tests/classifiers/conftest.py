"""A server on this machine that stalls, breaks off and lies, and an empty cache to fetch into."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from saccade_env.classifiers import weights
from saccade_env.classifiers.weights import WeightsFile


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Of ``torch.nn.Linear(300, 250)``, which is the network of the file called ``thing``."""
    generator = torch.Generator().manual_seed(seed)
    return {"weight": torch.randn(250, 300, generator=generator), "bias": torch.zeros(250)}


class Host(ThreadingHTTPServer):
    """Serves ``content`` under every path, and misbehaves as its attributes say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/some/thing-v1.pth"
        self.content = self.network(0)
        self.kind = "application/octet-stream"
        self.headers: dict[str, str] = {"ETag": '"1"'}
        self.statuses: list[int] = []  # of the next answers, instead of the content
        self.cuts: list[int] = []  # the next answers end after so many bytes
        self.lie = 0  # added to Content-Length
        self.length, self.chunked = True, False
        self.ranges, self.if_range = True, True  # what it knows of
        self.before_body: Callable[[], Any] = lambda: None
        self.after_cut: Callable[[], Any] = lambda: None
        self.released = threading.Event()
        self.asked: list[dict[str, str]] = []

    @staticmethod
    def saved(content: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    @classmethod
    def network(cls, seed: int) -> bytes:
        """About 300 kB of weights."""
        return cls.saved(tensors(seed))

    def stall(self) -> None:
        self.released.wait(20)

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the game."""


class Answer(BaseHTTPRequestHandler):
    server: Host

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        host = self.server
        host.asked.append(dict(self.headers))
        if host.statuses and (status := host.statuses.pop(0)) != 200:
            return self.send_error(status)
        start = self.start()
        if start >= len(host.content):
            return self.send_error(416)
        host.before_body()
        self.head(start)
        body = host.content[start:]
        if host.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        cut = host.cuts.pop(0) if host.cuts else None
        self.wfile.write(body[:cut])
        if cut is not None:
            host.after_cut()

    def start(self) -> int:
        host = self.server
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        current = self.headers.get("If-Range") in host.headers.values()
        return int(wanted[1]) if wanted and host.ranges and (current or not host.if_range) else 0

    def head(self, start: int) -> None:
        host = self.server
        if host.chunked:
            self.protocol_version = "HTTP/1.1"
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", host.kind)
        if start:
            size = len(host.content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if host.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
        elif host.length:
            self.send_header("Content-Length", str(len(host.content) - start + host.lie))
        for name, value in host.headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a fresh process' memory, and no way to the real network."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SACCADE_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(weights, "_failed", {})
    for name, file in weights.TABLE.items():
        url = f"http://127.0.0.1:1/{file.published_file}"
        closed = replace(file, url=url, network="torch.nn:Linear", sizes=(300, 250), sha256="")
        monkeypatch.setitem(weights.TABLE, name, closed)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def publish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Enter a file called ``thing`` into the table, alone in the group ``thing``."""

    def enter(url: str, **fields: Any) -> None:
        file = WeightsFile(
            "thing", url, "thing.pth", "MIT", 1, "torch.nn:Linear", (300, 250), **fields
        )
        monkeypatch.setitem(weights.TABLE, "thing", file)
        monkeypatch.setitem(weights.GROUPS, "thing", ("thing",))

    return enter


@pytest.fixture
def thing(host: Host, publish: Callable[..., None]) -> Host:
    publish(host.url)
    return host


@pytest.fixture
def fetch(folder: Path) -> Callable[..., list[Path]]:
    """Fetch ``thing`` without patience."""
    fast = {"progress": False, "timeout": 0.3, "tries": 3, "backoff": 0.01}
    return lambda **keywords: weights.fetch("thing", **(fast | keywords))


@pytest.fixture
def left(folder: Path) -> Callable[[], set[str]]:
    """What lies in the cache, locks aside."""
    return lambda: {path.name for path in folder.iterdir() if path.suffix != ".lock"}
