"""All checks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from tqdm.auto import tqdm

from saccade_env.card import versions
from saccade_env.errors import unknown_name
from saccade_env.verify import accuracy, hashes, numerics, speed
from saccade_env.verify.accuracy import Band
from saccade_env.verify.table import Row

Checks = Mapping[str, Callable[[], Iterable[Row]]]


@dataclass(frozen=True)
class Settings:
    """What is verified, and on what.

    Attributes:
        images: For the accuracy.
        band: Where the accuracy should be; None for what is known of the images.
        limit: Take a random sample of this many images.
        batch_size: Images in a batch.
        device: Where networks run.
        skip: Parts to leave out.
    """

    images: str = "imagenette"
    band: Band | None = None
    limit: int | None = None
    batch_size: int = 32
    device: str = "cpu"
    skip: Sequence[str] = ()


def checks(settings: Settings) -> Checks:
    """The parts by name, without those to leave out.

    Raises:
        ValueError: No such part; the message suggests the nearest. Or no band is known.
    """
    device, asked = settings.device, settings
    parts: Checks = {
        "hashes": hashes.check,
        "goldens": numerics.check,
        "accuracy": lambda: [
            accuracy.check(asked.images, asked.band, asked.limit, asked.batch_size, device)
        ],
        "speed": lambda: speed.check(device),
    }
    for name in settings.skip:
        if name not in parts:
            raise unknown_name("part of the verification", name, parts)
    if "accuracy" not in settings.skip and settings.band is None:
        accuracy.known_band(settings.images)  # before anything is downloaded
    return {name: part for name, part in parts.items() if name not in settings.skip}


def verify(settings: Settings) -> Iterator[Row]:
    """The rows of all parts, as they come.

    Raises:
        ValueError: A setting is wrong; the message says which.
    """
    for part in tqdm(checks(settings).values(), "verify", unit="part", disable=None):
        yield from part()


def about(settings: Settings) -> dict[str, Any]:
    """When and where it was verified, with which versions and what left out."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": speed.machine(settings.device),
        "versions": versions(),
        **({"skipped": list(settings.skip)} if settings.skip else {}),
    }
