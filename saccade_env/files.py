"""Files that are whole or not there: every file of this package is written through here.

A file is written under a temporary name beside its place and renamed. Temporaries are called
``.saccade-<12 hex digits>-<name>``, so that what a killed process left can be told from
anybody else's files.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MANIFEST, MADE_BY = "manifest.json", "saccade-env"  # of a run's own files, and what it says
_TEMPORARY = re.compile(r"\.saccade-[0-9a-f]{12}-.+")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path of the same suffix; what is written there appears at ``path``.

    Folders are made. If the block raises, ``path`` stays as it was and the temporary goes.

    Raises:
        OSError: It cannot be written; the message names ``path``.
    """
    temporary = path.with_name(f".saccade-{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_writable(path: Path) -> None:
    """Refuse early what :func:`replacing` would refuse in the end; makes folders, but no file.

    Raises:
        OSError: No file can be written there; the message names ``path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror or error}") from error
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")


def write_text(path: Path, text: str) -> Path:
    """Write a text file (UTF-8) in one piece."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write plain data in one piece.

    Raises:
        ValueError: It holds NaN or infinity, which JSON does not have.
    """
    return write_text(path, json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read, or is no JSON object; the message names it.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise OSError("it is no regular file")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise OSError(f"{path} cannot be read: {error}") from error
    except RecursionError as error:
        raise OSError(f"{path} cannot be read: it is nested too deeply") from error
    if not isinstance(data, dict):
        raise OSError(f"{path} cannot be read: expected a JSON object; got {data!r:.40}")
    return data


def written_by_run(folder: Path) -> set[str]:
    """Names, relative to a folder, of what a run wrote there, as its manifest says."""
    try:
        manifest = read_object(folder / MANIFEST)
    except OSError:
        return set()
    names = manifest.get("files") if manifest.get("made_by") == MADE_BY else None
    return {str(name) for name in names} if isinstance(names, list) else set()


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that is always UTF-8: bytes that are not are escaped with a backslash."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def temporaries(folder: Path) -> set[Path]:
    """What killed processes left in this folder, by name; nothing below it."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return {path for path in inside if is_temporary(path.name) and path.is_file()}


def is_temporary(name: str) -> bool:
    """Whether a file is called as those are that are being written."""
    return bool(_TEMPORARY.fullmatch(name))


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left in this folder; nothing else, nothing below it."""
    for path in temporaries(folder):
        path.unlink(missing_ok=True)
