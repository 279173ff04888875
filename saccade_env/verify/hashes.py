"""The published weights: fetched, hashed, and held against their networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saccade_env.classifiers import weights
from saccade_env.classifiers.weights import WeightsError, WeightsFile
from saccade_env.classifiers.weights_file import MismatchError
from saccade_env.verify.table import Row, unchecked

GROUPS = ("dino_vits16", "unisal")  # the paper's classifier and its policy of a network


def check(groups: Sequence[str] = GROUPS, progress: bool = True) -> Iterator[Row]:
    """A row for every file of the groups; what is missing is downloaded.

    A file must have the hash that is published or was recorded when it first came here, and the
    tensors of its network. Where nobody published a hash and nothing is recorded, the row gives the
    one that came, so that two machines can be compared.

    Args:
        groups: See :func:`saccade_env.classifiers.weights.fetch`.
        progress: Show a bar for each file.

    Raises:
        ValueError: No such group; the message suggests the nearest.
    """
    for group in groups:
        for file in weights.members(group):
            yield _row(file, progress)


def _row(file: WeightsFile, progress: bool) -> Row:
    what, (expected, note) = f"hash: {file.name}", _expected(file)
    try:
        weights.fetch(file.name, progress, retry=True)
        weights.load(file.name)  # one that was there already is held against its network too
    except MismatchError as error:
        return Row(what, expected, "another file", False, str(error))
    except WeightsError as error:
        return unchecked(what, expected, error)
    return Row(what, expected, weights.record(file.name).sha256, True, note)


def _expected(file: WeightsFile) -> tuple[str, str]:
    """What the file is held to, and a note on it; before it is fetched, which records a hash."""
    if file.record.is_file():
        return f"as recorded in {file.record.name}", "its tensors fit the network"
    if file.sha256:
        return f"{file.sha256}…, published", "its tensors fit the network"
    return "", "its tensors fit the network; no hash of it is published, this one came"
