"""Downloads that break off, stall and change, against a server on this machine."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saccade_env.classifiers import download, weights
from saccade_env.classifiers.weights import WeightsError

CUT = 100_000  # where answers break off
WHOLE = {"thing.pth", "thing.pth.sha256"}
BROKEN = {"thing.pth.part", "thing.pth.part.version"}


def test_progress_is_shown_in_bytes(thing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    weights.fetch("thing")
    error = capsys.readouterr().err
    assert re.search(r"thing.pth: 100%.*30\dk/30\dk.*B/s", error)


def test_refusal_is_not_retried(thing: Any, fetch: Any, left: Any) -> None:
    thing.statuses = [404] * 5
    with pytest.raises(WeightsError, match=r"127.0.0.1 answered 404 Not Found for http") as caught:
        fetch()
    assert f"download {thing.url} and run `saccade-env download thing --from" in str(caught.value)
    assert len(thing.asked) == 1
    assert left() == set()


def test_what_may_pass_is_retried(thing: Any, fetch: Any) -> None:
    thing.statuses = [503, 429]
    assert fetch()
    assert len(thing.asked) == 3
    thing.statuses = [503] * 3
    weights.TABLE["thing"].place.unlink()
    with pytest.raises(WeightsError, match=r"answered 503 .*\(tried 3 times\)"):
        fetch()


def test_retries_wait_longer_each_time(thing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("saccade_env.classifiers.download.time.sleep", waits.append)
    thing.statuses = [500] * 4
    with pytest.raises(WeightsError):
        weights.fetch("thing", progress=False)
    assert waits == [1, 2, 4]


@pytest.mark.parametrize("stalls", [False, True], ids=["closes", "stalls"])
def test_resumed_within_one_call(thing: Any, stalls: bool, fetch: Any) -> None:
    thing.cuts = [CUT, CUT]
    if stalls:
        thing.after_cut = thing.stall
    fetch()
    assert weights.TABLE["thing"].place.read_bytes() == thing.content
    starts = [int(asked["Range"][6:-1]) for asked in thing.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] <= CUT < starts[1] <= 2 * CUT
    assert all(asked["If-Range"] == '"1"' for asked in thing.asked[1:])


def test_resumed_by_the_next_call(thing: Any, folder: Path, fetch: Any, left: Any) -> None:
    thing.cuts = [CUT, 0, 0]
    with pytest.raises(WeightsError, match=f"of {len(thing.content)} bytes .tried 3") as caught:
        fetch()
    assert "100000 bytes are kept, run it again to resume; or on another" in str(caught.value)
    assert left() == BROKEN
    assert (folder / "thing.pth.part").read_bytes() == thing.content[:CUT]
    fetch(retry=True)
    assert thing.asked[-1]["Range"] == f"bytes={CUT}-"
    assert weights.TABLE["thing"].place.read_bytes() == thing.content
    assert left() == WHOLE


def test_server_that_never_answers(thing: Any, fetch: Any) -> None:
    thing.before_body = thing.stall
    start = time.monotonic()
    with pytest.raises(WeightsError, match="connection to 127.0.0.1 stalled"):
        fetch(tries=1)
    assert time.monotonic() - start < 5


def test_server_without_ranges_starts_again(thing: Any, fetch: Any) -> None:
    thing.ranges, thing.cuts = False, [CUT]
    fetch()
    assert weights.TABLE["thing"].place.read_bytes() == thing.content
    assert "Range" in thing.asked[1]


@pytest.mark.parametrize("if_range", [True, False], ids=["honest", "ignores If-Range"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"Last-Modified": "Mon, 01 Jan 2024"}, {"Last-Modified": "Tue, 02 Jan 2024"}),
        ({"ETag": 'W/"1"', "Last-Modified": "Mon"}, {"ETag": 'W/"1"', "Last-Modified": "Tue"}),
    ],
)
def test_file_that_changed_between_parts(
    thing: Any, if_range: bool, old: dict[str, str], new: dict[str, str], fetch: Any
) -> None:
    def change() -> None:
        thing.content, thing.headers = thing.network(1), new

    thing.headers, thing.if_range, thing.cuts, thing.after_cut = old, if_range, [CUT], change
    fetch()
    assert "Range" in thing.asked[1]
    assert weights.TABLE["thing"].place.read_bytes() == thing.network(1)


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}], ids=["no version", "weak tag"])
def test_part_of_unknown_version_is_not_resumed(
    thing: Any, headers: dict[str, str], fetch: Any
) -> None:
    thing.headers, thing.cuts = headers, [CUT]
    fetch()
    assert "Range" not in thing.asked[1]
    assert weights.TABLE["thing"].place.read_bytes() == thing.content


def test_part_that_is_longer_than_the_file(thing: Any, folder: Path, fetch: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "thing.pth.part").write_bytes(bytes(len(thing.content)))
    (folder / "thing.pth.part.version").write_text('"1"')
    fetch()
    assert "Range" in thing.asked[0]
    assert weights.TABLE["thing"].place.read_bytes() == thing.content


def test_server_that_promises_too_much(thing: Any, fetch: Any, left: Any) -> None:
    thing.lie = 1000
    with pytest.raises(WeightsError, match=r"broke off after \d+ of \d+ bytes"):
        fetch()
    assert left() == BROKEN


def test_server_that_promises_too_little(thing: Any, fetch: Any, left: Any) -> None:
    thing.lie = -1000
    with pytest.raises(WeightsError, match="gave no such weights; it was not kept: .* be read"):
        fetch()
    assert left() == set()  # above all no record


def test_transfer_in_chunks(thing: Any, fetch: Any) -> None:
    thing.chunked, thing.cuts = True, [CUT]
    fetch()
    assert len(thing.asked) == 2
    assert weights.TABLE["thing"].place.read_bytes() == thing.content


def test_unknown_length_is_refused(thing: Any, fetch: Any, left: Any) -> None:
    thing.length = False
    with pytest.raises(WeightsError, match=r"does not say how long .* --from FOLDER` here"):
        fetch()
    assert left() == set()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_longer_file_is_another_one(
    thing: Any, chunked: bool, publish: Any, fetch: Any, left: Any
) -> None:
    """An endless body would fill the disk."""
    thing.chunked, thing.content = chunked, bytes(weights.TABLE["thing"].most_bytes + 200_000)
    with pytest.raises(WeightsError, match="cannot have more") as caught:
        fetch(timeout=20.0)
    assert "kept" not in str(caught.value)
    assert (len(thing.asked), left()) == (1, set())


def test_empty_answer(thing: Any, fetch: Any) -> None:
    thing.cuts = [0]
    with pytest.raises(WeightsError, match="broke off after 0 of") as caught:
        fetch(tries=1)
    assert "kept" not in str(caught.value)


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_web_page_is_refused(thing: Any, kind: str, resumed: bool, fetch: Any, left: Any) -> None:
    if resumed:
        thing.cuts = [CUT]
        with pytest.raises(WeightsError, match="broke off"):
            fetch(tries=1)
    before = left() if resumed else set()
    page = b"\n <!doctype html>" if kind != "text/html" else b"Please log in"
    thing.content, thing.headers, thing.kind = page, {}, kind
    with pytest.raises(WeightsError, match=r"sent a web page .* login in a browser.*--from"):
        fetch(retry=True)
    assert left() == before  # a good part survives a bad network


def test_no_network(publish: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/thing.pth"
    publish(url)
    start = time.monotonic()
    with pytest.raises(WeightsError, match="cannot reach 127.0.0.1: .*refused") as caught:
        weights.fetch("thing", progress=False)
    assert time.monotonic() - start < 0.9  # no second try
    assert f"on another machine download {url} and run `saccade-env" in str(caught.value)
    with pytest.raises(WeightsError, match="cannot reach"):
        weights.fetch("thing")


def test_disk_full(
    thing: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Any, left: Any
) -> None:
    class Full(io.FileIO):
        def write(self, block: Any) -> int:
            if self.tell() > CUT:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(block) or 0

    with monkeypatch.context() as patch:
        patch.setattr(download, "open", Full, raising=False)
        with pytest.raises(WeightsError, match=r"cannot write .*No space.*Make room.*is kept") as e:
            fetch()
    assert "SACCADE_CACHE" in str(e.value)
    assert left() == BROKEN
    size = (folder / "thing.pth.part").stat().st_size
    assert size > CUT
    assert len(thing.asked) == 1
    fetch(retry=True)
    assert thing.asked[1]["Range"] == f"bytes={size}-"
    assert weights.TABLE["thing"].place.read_bytes() == thing.content


def test_cache_that_cannot_be_written(thing: Any, folder: Path, fetch: Any) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"cannot write .*thing.pth.*set SACCADE_CACHE"):
        fetch()
    assert thing.asked == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's handler of Ctrl-C: processes started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_by_the_user(thing: Any, folder: Path, fetch: Any, left: Any) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        part = folder / "thing.pth.part"
        while not (part.exists() and part.stat().st_size):
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)
        thing.stall()

    thing.cuts, thing.after_cut = [CUT], interrupt
    with pytest.raises(KeyboardInterrupt):
        fetch(timeout=20.0)
    assert left() == BROKEN
    fetch()  # neither locked nor remembered as a failure
    assert thing.asked[1]["Range"].startswith("bytes=")
    assert weights.TABLE["thing"].place.read_bytes() == thing.content
