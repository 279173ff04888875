"""Saliency maps on disk: computed once per picture and policy, whatever run asks for them.

Every set of what maps depend on (policy, parameters, grid, weights, …) has an SQLite file of its
own in the folder ``maps`` of :func:`saccade_env.cache.cache_dir`, named after the policy and a hash
of that description, which is stored in it too. A map's key is a hash of the picture's pixels, so
that it is right whatever folder or batch the picture comes from.

A connection lives for one call: nothing is open when a process forks, a policy is pickled or
someone clears the cache. SQLite's locks, in its plain journal mode, order the processes; its
write-ahead log would need shared memory, which the network folders of clusters do not have.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env.cache import cache_dir
from saccade_env.card import describe_policy

_PATIENCE_S = 10.0  # how long to wait for a lock
# Without rowid, key and map lie in one cell: no damaged index can lead to another picture's map.
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (description TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS maps (key BLOB PRIMARY KEY, map BLOB NOT NULL) WITHOUT ROWID",
)


def description_of(policy: Any) -> dict[str, Any] | None:
    """All that the maps of a policy depend on beside the picture, as plain data.

    None if its class does not vouch for that (``maps_version``), or if a parameter or the hash of
    its weights is not known.
    """
    # Looked up in the class itself: a subclass that overrides saliency_map has other maps.
    version = vars(type(policy)).get("maps_version", 0)
    weights = policy.weights
    if not version or (weights and not re.fullmatch("[0-9a-f]{64}", weights.sha256)):
        return None
    described = describe_policy(policy)
    public = {key for key, value in vars(policy).items() if key[0] != "_" and value is not None}
    if public - {*described, "device"}:  # a parameter that is no plain data
        return None
    return {
        "policy": described,
        "class": f"{type(policy).__module__}.{type(policy).__qualname__}",
        "maps_version": version,
        "device": policy.device.type,
        "torch": torch.__version__,
    }


def picture_keys(images: UInt8[Tensor, "batch 3 height width"]) -> list[bytes]:
    """A hash of shape and pixels of every picture, 16 bytes."""
    shape = repr(tuple(images.shape[1:])).encode()
    pictures = images.cpu().contiguous().numpy()
    return [hashlib.blake2b(pixels, digest_size=16, key=shape).digest() for pixels in pictures]


class MapCache:
    """The maps of one description; safe with several threads and processes.

    A file that cannot be used (damaged, locked, read-only, on a full disk) is warned of once and
    then left alone: nothing is read from it, or nothing more written to it.

    Args:
        description: See :func:`description_of`.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = json.dumps(description, sort_keys=True, default=str)
        self.grid: tuple[int, int] = tuple(description["policy"]["grid"])
        name = re.sub(r"[^\w.-]", "-", description["policy"]["name"])
        digest = hashlib.sha256(self.description.encode()).hexdigest()
        self.path = cache_dir().absolute() / "maps" / f"{name}-{digest[:12]}.sqlite"
        self._usable = {"read", "write"}

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Float[Tensor, "rows cols"]]:
        """The stored maps among these; a damaged one counts as absent."""
        return self._tried("read", self._select, keys) or {}

    def write(self, keys: Sequence[bytes], maps: Float[Tensor, "batch rows cols"]) -> None:
        """Store maps in one transaction; what is there already stays.

        Maps that would not be the same when read, being no float32 of the grid, are not stored.
        """
        if maps.dtype == torch.float32 and maps.shape[1:] == self.grid:
            values = [row.astype("<f4").tobytes() for row in maps.numpy()]
            self._tried("write", self._insert, list(zip(keys, values, strict=True)))

    def _tried(self, doing: str, action: Callable[[Any], Any], what: Any) -> Any:
        try:
            return action(what) if doing in self._usable else None
        except (sqlite3.Error, OSError) as error:
            self._usable -= {"write", doing}
            warnings.warn(
                f"cannot {doing} the saliency maps in {self.path} ({error}), so the run goes on "
                "without. Make room or allow writing there, remove a damaged file with "
                "`saccade-env cache clear`, or set SACCADE_CACHE to another folder",
                stacklevel=4,  # whoever asked the policy for maps
            )
            return None

    def _insert(self, rows: list[tuple[bytes, bytes]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect("rwc")) as database:
            database.execute("BEGIN IMMEDIATE")
            for table in _SCHEMA:
                database.execute(table)
            database.execute("INSERT OR IGNORE INTO meta VALUES (?)", (self.description,))
            database.executemany("INSERT OR IGNORE INTO maps VALUES (?, ?)", rows)
            database.execute("COMMIT")

    def _select(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        if not self.path.is_file():
            return {}
        one = "SELECT map FROM maps WHERE key = ?"  # no round trips that IN (…) would save
        with closing(self._connect("rw")) as database:
            database.execute("BEGIN")
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'maps'").fetchone():
                return {}  # another process is about to make it
            rows = {key: database.execute(one, (key,)).fetchone() for key in keys}
        maps = {key: self._map_of(row[0]) for key, row in rows.items() if row}
        return {key: found for key, found in maps.items() if found is not None}

    def _connect(self, mode: str) -> sqlite3.Connection:
        # "rw" reads what is write-protected too, and mends what a killed process left half done.
        uri = f"{self.path.as_uri()}?mode={mode}"
        return sqlite3.connect(uri, timeout=_PATIENCE_S, isolation_level=None, uri=True)

    def _map_of(self, stored: Any) -> Tensor | None:
        rows, cols = self.grid
        if not isinstance(stored, bytes) or len(stored) != 4 * rows * cols:
            return None
        values = np.frombuffer(stored, "<f4").reshape(rows, cols).astype(np.float32)
        return torch.from_numpy(values) if np.isfinite(values).all() else None
