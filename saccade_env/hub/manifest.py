"""What a repository of ours holds: its ``saccade-env.json`` has every file's SHA-256 and size.

``README.md`` is for people, who may edit it on the Hub; no program reads it, so it is no file of
the manifest, which only says what it was when it was pushed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from saccade_env.classifiers.weights_file import sha256
from saccade_env.files import MADE_BY, read_object

MANIFEST, README, FORMAT = "saccade-env.json", "README.md", 1
Kind = Literal["agent", "evaluation", "paper"]
TYPES = {"agent": "model", "evaluation": "dataset", "paper": "dataset"}  # of repositories
SUFFIXES = (".safetensors", ".json", ".parquet", ".csv", ".png")  # which cannot hold code
LARGEST = 200_000_000  # bytes of all files


@dataclass(frozen=True)
class Listed:
    """What a file is.

    Attributes:
        sha256: Of its bytes, as hex.
        size: Their number.
    """

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a repository holds.

    Attributes:
        kind: What it is as a whole.
        files: By name relative to the repository, with forward slashes.
        card: SHA-256 of ``README.md`` as it was pushed.
    """

    kind: str
    files: dict[str, Listed]
    card: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        files = {name: asdict(listed) for name, listed in self.files.items()}
        about = {"made_by": MADE_BY, "format": FORMAT, "kind": self.kind}
        return {**about, "files": files, "card": self.card}

    @classmethod
    def read(cls, path: Path, where: str) -> Manifest:
        """The manifest in a file.

        Raises:
            OSError: It is no JSON object.
            ValueError: It is none of ours; the message begins with ``where``.
        """
        found = read_object(path)
        try:
            if (found["made_by"], found["format"]) != (MADE_BY, FORMAT):
                raise ValueError(f"made_by {found['made_by']!r}, format {found['format']!r}")
            if found["kind"] not in TYPES:
                raise ValueError(f"kind {found['kind']!r}")
            files = {name: _listed(name, value) for name, value in found["files"].items()}
            return cls(found["kind"], files, str(found["card"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{where} is none of ours: its {MANIFEST} is not what this version writes ({error})"
            ) from error


@dataclass(frozen=True)
class Publication:
    """What is to be pushed.

    Attributes:
        kind: What it is.
        folder: Where the files are.
        names: Of the files, relative to the folder, with forward slashes; nothing else is read.
        card: The text of ``README.md``, its metadata included.

    Raises:
        ValueError: A name leads out of the folder, or is of a file that might hold code.
    """

    kind: Kind
    folder: Path
    names: tuple[str, ...]
    card: str

    def __post_init__(self) -> None:
        for name in self.names:
            check_name(name)

    def manifest(self) -> Manifest:
        """Hashes and sizes of all files."""
        paths = {name: self.folder / name for name in self.names}
        files = {name: Listed(sha256(path), path.stat().st_size) for name, path in paths.items()}
        return Manifest(self.kind, files, hashlib.sha256(self.card.encode()).hexdigest())


def there(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Those of these files that are in the folder."""
    return tuple(name for name in names if (folder / name).is_file())


def check_name(name: str) -> None:
    """Let the name of a file pass that lies inside its folder and cannot hold code.

    Raises:
        ValueError: It is another one.
    """
    path = PurePosixPath(name)
    inside = not (path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name)
    if not (inside and name.isprintable() and path.suffix in SUFFIXES):
        raise ValueError(
            f"expected the name of a file inside the folder that ends in {', '.join(SUFFIXES)}; "
            f"got {name!r:.80}"
        )


def check_files(folder: Path, files: Mapping[str, Listed], where: str) -> None:
    """Refuse files that are not those that the manifest lists.

    Raises:
        OSError: The message names the first such file.
    """
    for name, listed in files.items():
        path = folder / name
        size = path.stat().st_size
        found = sha256(path) if size == listed.size else f"none looked at, and {size} bytes"
        if found != listed.sha256:
            raise OSError(
                f"{name} of {where} is not what was pushed: {MANIFEST} there lists SHA-256 "
                f"{listed.sha256} and {listed.size} bytes, it has {found}; take another revision, "
                f"or, if the copy here was damaged, remove {path.resolve()} and try again"
            )


def _listed(name: str, value: Mapping[str, Any]) -> Listed:
    digest, size = value["sha256"], value["size"]
    if not isinstance(digest, str) or type(size) is not int or size < 0:
        raise ValueError(f"of {name!r:.80} it says {value!r:.80}")
    check_name(name)
    return Listed(digest, size)
