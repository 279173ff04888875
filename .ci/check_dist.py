"""Refuse a wheel or sdist that lacks a file of the package, holds another, or is too large.

The files of the package are those that git tracks, or where there is no git, as in an unpacked
sdist, all but caches. ``check_dist.py FOLDER [TAG]``, in the checkout:
FOLDER holds one wheel and one sdist, and TAG is ``v`` and their version.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

PACKAGE, BESIDE = "saccade_env", ("agents", "policies")  # installed inside it
MOST_BYTES = 25_000_000
SDIST = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "pyproject.toml"}


def package_files() -> set[str]:
    """Files of the package, by their paths in the checkout."""
    rooms = [PACKAGE, *BESIDE]
    asked = subprocess.run(["git", "ls-files", *rooms], capture_output=True, text=True)
    if asked.returncode == 0 and asked.stdout:
        return set(asked.stdout.split("\n")[:-1])
    found = {path for room in rooms for path in Path(room).rglob("*") if path.is_file()}
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def installed(path: str) -> str:
    """Where a file of the checkout lies in the wheel."""
    return f"{PACKAGE}/{path}" if path.partition("/")[0] in BESIDE else path


def wrong_wheel(names: Iterable[str], files: Iterable[str]) -> list[str]:
    """What is wrong with a wheel that holds these names, if the package has these files."""
    found = {name for name in names if not name.endswith("/")}
    metadata = {name for name in found if name.partition("/")[0].endswith(".dist-info")}
    expected = set(map(installed, files))
    lacks = [f"the wheel lacks {name}" for name in sorted(expected - found)]
    return lacks + [f"the wheel holds {name}" for name in sorted(found - metadata - expected)]


def wrong_sdist(names: Iterable[str], files: Iterable[str]) -> list[str]:
    """What is missing in an sdist that holds these names, if the package has these files."""
    found = {name.partition("/")[2] for name in names}
    return [f"the sdist lacks {name}" for name in sorted(SDIST.union(files) - found)]


def wrong_size(path: Path) -> list[str]:
    """Whether a file is too large."""
    size = path.stat().st_size
    return [f"{path.name} has {size} bytes, more than {MOST_BYTES}"] if size > MOST_BYTES else []


def wrong_version(wheel: str, tag: str) -> list[str]:
    """Whether a tag is of another version than the wheel of this name."""
    version = wheel.split("-")[1]
    return [] if tag == f"v{version}" else [f"the tag is {tag}, and the version {version}"]


def check(folder: Path, tag: str | None = None) -> None:
    """Refuse what is wrong with the wheel and the sdist of a folder.

    Raises:
        SystemExit: Something is; the message lists it.
    """
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    files = package_files()
    with zipfile.ZipFile(wheel) as archive:
        wrong = wrong_wheel(archive.namelist(), files) + wrong_size(wheel)
    with tarfile.open(sdist) as archive:
        wrong += wrong_sdist(archive.getnames(), files) + wrong_size(sdist)
    if tag is not None:
        wrong += wrong_version(wheel.name, tag)
    if wrong:
        raise SystemExit("\n".join(wrong))
    sizes = (f"{path.name}: {path.stat().st_size / 1e6:.1f} MB" for path in (wheel, sdist))
    print(f"{len(files)} files of the package", *sizes, sep=", ")


if __name__ == "__main__":
    check(Path(sys.argv[1]), *sys.argv[2:])
