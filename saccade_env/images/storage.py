"""Where the bytes of pictures lie: :class:`Storage`. A place counts from 0.

A storage knows nothing of labels or of pixels. It is pickled with its source and read from several
threads.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


class Storage(Protocol):
    """The bytes of pictures."""

    @property
    def root(self) -> str:
        """The folder, file or name that all of them are in."""

    def open(self, place: int) -> BinaryIO:
        """The bytes of one picture.

        Raises:
            OSError: They cannot be read.
            ValueError: They cannot be a picture's.
        """

    def file_of(self, place: int) -> tuple[str, object] | None:
        """The file that changes when they do, and where in it they are; None without a file."""


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file that may be a picture.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no regular file.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):  # opening a FIFO would wait for somebody who writes
        kind = "directory" if stat.S_ISDIR(mode) else "FIFO, socket or device"
        raise ValueError(f"expected a regular file; it is a {kind}")
    return open(path, "rb")


def seal(found: os.stat_result) -> list[int]:
    """What changes with a file's contents: size, inode, and times of change in nanoseconds."""
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


@dataclass
class Files:
    """Each picture is a file; ``paths`` are relative to ``root``."""

    root: str
    paths: Sequence[str] = field(repr=False)

    def open(self, place: int) -> BinaryIO:
        return open_file(self.file_of(place)[0])

    def file_of(self, place: int) -> tuple[str, int]:
        return os.path.join(self.root, self.paths[place]), 0


@dataclass
class Shards:
    """Each picture is a part of a tar file.

    Attributes:
        root: The folder of the files, or the pattern of their names.
        files: Their paths.
        seals: What the system said of each file when it was indexed.
        parts: (file, start, length in bytes) of each picture.
    """

    root: str
    files: Sequence[str] = field(repr=False)
    seals: Sequence[Sequence[int]] = field(repr=False)
    parts: Sequence[tuple[int, int, int]] = field(repr=False)

    def open(self, place: int) -> BinaryIO:
        number, start, length = self.parts[place]
        with open(self.files[number], "rb", buffering=0) as file:
            if [*seal(os.fstat(file.fileno()))] != [*self.seals[number]]:
                raise OSError(f"{self.files[number]} was changed since it was indexed")
            file.seek(start)
            data = file.read(length)
        if len(data) < length:
            raise OSError(f"{self.files[number]} ends too early")
        return io.BytesIO(data)

    def file_of(self, place: int) -> tuple[str, int]:
        number, start, _ = self.parts[place]
        return self.files[number], start
