"""Fetch one file over HTTP so that it can break off at any point and be resumed.

Bytes go to a ``.part`` file. What tells the versions of the published file apart (a strong ETag,
else Last-Modified) goes to ``<part>.version``: a part is resumed only while the server has the
version it was begun from. Whoever calls this sees to it that nobody else writes the same part.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from saccade_env.classifiers.weights_file import WeightsError

_BLOCK = 1 << 16
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


class _TryError(Exception):
    """A try failed; ``again`` if another one may succeed."""

    def __init__(self, problem: str, again: bool = False) -> None:
        super().__init__(problem)
        self.again = again


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of writing ``path`` into one clear message.

    Raises:
        WeightsError: The disk is full, the folder cannot be written, and so on.
    """
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error}. Make room or allow writing there, or set SACCADE_CACHE "
            "to another folder, and run it again; what has come so far is kept"
        ) from error


def download(
    url: str,
    part: Path,
    name: str,
    most: int,
    *,
    progress: bool = True,
    timeout: float = 30.0,
    tries: int = 4,
    backoff: float = 1.0,
) -> None:
    """Fill ``part`` with the whole file, going on from what an earlier call left there.

    Args:
        url: Where the file is.
        part: Where it goes.
        name: What to ask ``saccade-env download`` for, for the message.
        most: Bytes; a longer file is another one, and nothing of it is kept.
        progress: Show a bar of bytes on standard error.
        timeout: Seconds without a byte after which the server is taken to have stalled.
        tries: How often to try. Only what may pass is tried again; no network is not.
        backoff: Seconds before the second try; doubled for each further one.

    Raises:
        WeightsError: It could not be had; the message says what to do. What came is kept.
    """
    for attempt in range(1, tries + 1):
        try:
            return _attempt(url, part, most, progress, timeout)
        except _TryError as error:
            if not error.again or attempt == tries:
                after = f" (tried {attempt} times)" if attempt > 1 else ""
                raise WeightsError(f"{error}{after}; {_advice(url, part, name)}") from error
        time.sleep(backoff * 2 ** (attempt - 1))


def discard(part: Path) -> None:
    """Remove a part and what is known about it."""
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def by_hand(url: str, name: str) -> str:
    """What to do where the network does not lead to the file."""
    return (
        f"on another machine download {url} and run `saccade-env download {name} --from FOLDER` "
        "here"
    )


def _advice(url: str, part: Path, name: str) -> str:
    size, _ = _kept(part)
    resume = f"{size} bytes are kept, run it again to resume; or " if size else ""
    return resume + by_hand(url, name)


def _attempt(url: str, part: Path, most: int, progress: bool, timeout: float) -> None:
    with disk_errors(part):
        have, version = _kept(part)
    response, start = _open(url, have, version, timeout)
    with response, disk_errors(part):
        blocks = _blocks(response)
        first = next(blocks, b"")
        _refuse_page(response, first, start)
        total = _total(response, start)
        if (total or 0) > most:
            raise _TryError(f"{url} has {total} bytes, and the file cannot have more than {most}")
        if not start:
            discard(part)
            _version_file(part).write_text(_version(response.headers), encoding="utf-8")
        done = _append(part, chain((first,), blocks), total, most, progress)
    if done > most:
        discard(part)
        raise _TryError(f"{url} goes on after {most} bytes, and the file cannot have more")
    if done < (total or 1):
        raise _TryError(f"{url} broke off after {done} of {total or 'unknown'} bytes", again=True)


def _append(
    part: Path, blocks: Iterable[bytes], total: int | None, most: int, progress: bool
) -> int:
    """Write what comes to the end of the part, till it is too long; returns its size."""
    with open(part, "ab") as file:
        shown: dict[str, Any] = {"desc": part.stem, "unit": "B", "unit_scale": True}
        with tqdm(total=total, initial=file.tell(), disable=not progress, **shown) as bar:
            for block in blocks:
                file.write(block)
                bar.update(len(block))
                if file.tell() > most:
                    break
        return file.tell()


def _open(url: str, have: int, version: str, timeout: float) -> tuple[Any, int]:
    """The response, and which byte of the file it begins with."""
    host = urlsplit(url).hostname
    ask = {"Range": f"bytes={have}-", "If-Range": version} if have else {}
    request = urllib.request.Request(url, headers={"User-Agent": "saccade-env", **ask})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # the part is no beginning of this file
            return _open(url, 0, "", timeout)
        again = error.code in _WORTH_ANOTHER_TRY
        raise _TryError(f"{host} answered {error.code} {error.reason} for {url}", again) from error
    except urllib.error.URLError as error:
        raise _TryError(f"cannot reach {host}: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, error) from error
    if not have or response.status != 206:  # 200: no ranges here, or another version
        return response, 0
    if _continues(response, have, version):
        return response, have
    response.close()
    return _open(url, 0, "", timeout)


def _continues(response: Any, have: int, version: str) -> bool:
    # Some servers ignore If-Range; others leave out Last-Modified in answer to it.
    first = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return (
        first is not None and int(first[1]) == have and _version(response.headers) in ("", version)
    )


def _kept(part: Path) -> tuple[int, str]:
    """Bytes that an earlier try left, and of which version; (0, "") if they cannot be used."""
    if not (part.exists() and _version_file(part).exists()):
        return 0, ""
    version = _version_file(part).read_text(encoding="utf-8")
    return (part.stat().st_size, version) if version else (0, "")


def _version(headers: Message) -> str:
    tag = headers.get("ETag", "")
    # A weak tag does not promise the same bytes.
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _blocks(response: Any) -> Iterator[bytes]:
    try:
        while block := response.read(_BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _broken(response.url, error) from error


def _broken(url: str, error: Exception) -> _TryError:
    problem = "stalled" if isinstance(error, TimeoutError) else f"broke off ({error!r})"
    return _TryError(f"the connection to {urlsplit(url).hostname} {problem}", again=True)


def _refuse_page(response: Any, first: bytes, start: int) -> None:
    named = response.headers.get_content_type() == "text/html"
    if named or (start == 0 and first.lstrip().startswith(b"<")):
        raise _TryError(
            f"{urlsplit(response.url).hostname} sent a web page in place of the weights: this "
            "network may want a login in a browser first"
        )


def _total(response: Any, start: int) -> int | None:
    """Bytes of the whole file; None if only the end of a chunked transfer will tell."""
    if response.chunked:
        return None
    length = response.headers.get("Content-Length", "")
    if not length.isdigit():
        raise _TryError("the server does not say how long the file is: it could be cut unnoticed")
    return start + int(length)
