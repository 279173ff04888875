"""The folder of one run: what is finished survives, and what is not the run's stays as it is.

``run.json`` says what the run is, ``manifest.json`` which files are its own. ``parts/*.parquet``
holds a batch of records each while the run goes on; at the end they become ``records.parquet``.
Shards of a run may write parts side by side, here or in folders that are put together later.
What is in them is told by :mod:`.part_file`, and who may write by :mod:`.locks`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from saccade_env import files
from saccade_env.evaluation.locks import lock_of, no_other, refuse_file, refuse_shards, release
from saccade_env.evaluation.part_file import difference, read_part, write_part
from saccade_env.evaluation.records import Part
from saccade_env.evaluation.shards import WHOLE, Shard

PARTS, RECORDS, RUN, SUMMARY = "parts", "records.parquet", "run.json", "summary.json"
MANIFEST, FORMAT = files.MANIFEST, 1  # and the manifest's format
_PART = re.compile(r"[0-9a-f]{32}\.parquet")
_OVERWRITE = "or overwrite it (--overwrite, overwrite=True)"


class Store:
    """A folder that one run or its shards write, and no other process. Use it in a ``with`` block.

    Nothing is overwritten or removed but what the manifest lists, and the parts beside it. The
    manifest is written first, and a name is only taken into it while there is no such file. So
    ``overwrite`` removes the files of the other run, by *its* manifest, and leaves anything else in
    the folder; it works where ``run.json`` is damaged, and not without a manifest.

    Args:
        folder: Output folder; created if need be.
        run: What the run is, as plain data. The same run goes on where it stopped.
        overwrite: Drop another run's files instead of refusing, and records that are damaged.
        files: What else the run will write: names relative to the folder, with forward slashes
            (``"figures/accuracy.png"``). A name that ends with a slash (``"runs/fovea-3/"``) is
            the folder of a store of its own, dropped together with this one. See :meth:`claim`.
        shard: Which shard of the run writes; others may do so meanwhile.

    Raises:
        BlockingIOError: Another process writes to the folder.
        FileExistsError: The folder holds another run, or a foreign file where this run writes one.
        OSError: The folder cannot be written, or ``run.json`` is damaged.
    """

    def __init__(
        self,
        folder: str | Path,
        run: dict[str, Any],
        overwrite: bool = False,
        files: Sequence[str] = (),
        shard: Shard = WHOLE,
    ) -> None:
        self.folder, self.run, self._overwrite = Path(folder), _plain(run), overwrite
        self._shard, self._lock = shard, lock_of(self.folder, shard)
        try:
            with no_other(self.folder, shard):
                self._open(files)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes in."""
        release(self._lock)

    def claim(self, *names: str) -> None:
        """Take further files into the manifest, before they are written.

        Args:
            *names: As ``files``.

        Raises:
            FileExistsError: There is such a file, and no run wrote it.
        """
        with no_other(self.folder, self._shard):
            if not self._shard.is_whole and (manifest := _manifest(self.folder)):
                self._own |= set(manifest["files"])  # another shard may have taken some
            self._claim(*names)

    def _claim(self, *names: str) -> None:
        for name in names:
            _refuse_foreign(self.folder, _inside(name), self._own)
        self._own |= set(names)
        contents = {"made_by": files.MADE_BY, "format": FORMAT, "run": _key(self.run)}
        with self.keeping():
            files.write_json(self.folder / MANIFEST, {**contents, "files": sorted(self._own)})

    def read(self, check: Callable[[pd.DataFrame], None] = lambda _: None) -> list[Part]:
        """Everything finished so far, also by other shards.

        Args:
            check: Raises a ValueError for records that this run cannot have made.

        Raises:
            OSError: A file is damaged, of another run, or does not pass the check, and it is not
                to be overwritten; the message names it.
        """
        found = []
        for path in kept_in(self.folder):
            try:
                found.append(read_part(path, self.run, check))
            except OSError as error:
                if not self._overwrite:
                    raise OSError(
                        f"{error}; move it away, {_OVERWRITE}, and the same command computes it "
                        "again"
                    ) from error
                path.unlink()
        return found

    def add(self, part: Part) -> None:
        """Keep a finished batch."""
        self._write(self.folder / PARTS / f"{uuid.uuid4().hex}.parquet", part)

    def finish(self, whole: Part) -> None:
        """Write the whole run's records and drop the parts, with the times that they took.

        So records are the same to the byte whenever and wherever they are made.
        """
        self._write(self.folder / RECORDS, whole._replace(seconds={}))
        for path in _parts(self.folder):
            path.unlink()
        with suppress(OSError):  # it is not there, or not empty
            (self.folder / PARTS).rmdir()

    def write_json(self, name: str, data: dict[str, Any]) -> Path:
        """Write plain data; NaN is refused, since JSON has none."""
        with self.keeping():
            return files.write_json(self.folder / name, data)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """What cannot be written in this block is an OSError that says what is kept."""
        try:
            yield
        except OSError as error:
            raise OSError(
                f"{error}; what is finished is kept in {self.folder}, the same command goes on "
                "from there"
            ) from error

    def _open(self, names: Sequence[str]) -> None:
        same, self._own = _find(self.folder, self.run, self._overwrite, names)
        for name in {*self._own, f"{PARTS}/"}:
            _refuse_places(self.folder, name)
        if not same:
            refuse_shards(self.folder, self._lock.lock_file)
            _remove(self.folder, self._own)
            self._own = set()
        for name in (part.name for part in (self.folder / PARTS).glob("*.parquet")):
            if not ((self._own and _PART.fullmatch(name)) or files.is_temporary(name)):
                _refuse_foreign(self.folder, f"{PARTS}/{name}", self._own)
        self._claim(MANIFEST, RUN, RECORDS, *names)
        mine = {*self._own, f"{PARTS}/part"} if self._shard.is_whole else ()
        for name in mine:  # a shard's may be those of others
            files.remove_temporaries((self.folder / name).parent)
        self.write_json(RUN, self.run)

    def _write(self, path: Path, part: Part) -> None:
        with self.keeping():
            write_part(path, part, self.run)


def kept_in(folder: Path) -> list[Path]:
    """The files of finished images in a run's folder."""
    whole = folder / RECORDS
    return [*([whole] if whole.exists() else []), *_parts(folder)]


def refuse_another(folder: Path, run: dict[str, Any]) -> None:
    """Let a folder pass that is new or holds this run; it is not written to.

    Raises:
        FileExistsError: It holds another run; the message says in what they differ.
        OSError: ``run.json`` is damaged.
    """
    _find(folder, _plain(run), False)


def _find(
    folder: Path, run: dict[str, Any], overwrite: bool, names: Sequence[str] = ()
) -> tuple[bool, set[str]]:
    """Whether a folder is new or holds this run, and which files in it are a run's own.

    Another run is only let pass in order to overwrite it.
    """
    refuse_file(folder)
    manifest = _manifest(folder)
    own = set(manifest["files"]) if manifest else set[str]()
    remedy = "choose another output folder" + f", {_OVERWRITE}" * bool(own)
    try:
        stored = files.read_object(folder / RUN)
    except OSError as error:
        if not (overwrite or isinstance(error, FileNotFoundError)):
            raise OSError(f"{error}; {remedy}") from error
        same, differ = manifest is None or manifest["run"] == _key(run), ""
    else:
        same, differ = stored == run, f", with other {difference(stored, run)}"
        if same and not manifest:  # it was lost
            own = {MANIFEST, RUN, RECORDS, *names}
    if not (same or overwrite):
        raise FileExistsError(f"{folder} holds another run{differ}; {remedy}")
    return same, own


def _parts(folder: Path) -> list[Path]:
    """Finished batches, by their names."""
    parts = (folder / PARTS).glob("*.parquet")
    return sorted(path for path in parts if _PART.fullmatch(path.name))


def _refuse_places(folder: Path, name: str) -> None:
    """Refuse a file or a link where a run has a folder: a link may lead to anybody's files."""
    path = folder / name
    for parent in [*path.parents][: len(Path(name).parts) - 1] + [path] * name.endswith("/"):
        if parent.is_symlink() or (os.path.lexists(parent) and not parent.is_dir()):
            raise FileExistsError(
                f"{parent} is no folder, and the run writes into a folder of that name; choose "
                "another output folder"
            )


def _refuse_foreign(folder: Path, name: str, own: set[str]) -> None:
    _refuse_places(folder, name)
    path = folder / name
    if os.path.lexists(path) and name not in own and not name.endswith("/"):
        raise FileExistsError(
            f"{path} is not known to be a run's own, so it is left as it is; choose another output "
            "folder, or move it away"
        )


def _remove(folder: Path, own: set[str]) -> None:
    """Remove a run's own files, the manifest last, and the folders that are empty then."""
    for part in _parts(folder) if own else ():
        part.unlink()
    for name in sorted(own, key=lambda name: (name == MANIFEST, name)):
        path = folder / name
        if not name.endswith("/"):
            path.unlink(missing_ok=True)
        elif path.is_dir():
            _remove(path, _find(path, {}, True)[1])
    inner = {PurePosixPath(name) for name in (*own, f"{PARTS}/") if name.endswith("/")}
    places = inner | {place for name in own for place in PurePosixPath(name).parents}
    for place in sorted(places - {PurePosixPath(".")}, reverse=True):
        with suppress(OSError):  # it is not empty
            (folder / place).rmdir()


def _manifest(folder: Path) -> dict[str, Any] | None:
    """None if there is none that can be trusted."""
    try:
        manifest = files.read_object(folder / MANIFEST)
        made = manifest["made_by"], manifest["format"], type(manifest["files"])
        if made != (files.MADE_BY, FORMAT, list):
            return None
        return {"run": manifest["run"], "files": [_inside(name) for name in manifest["files"]]}
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.name:
        raise ValueError(f"expected the name of a file inside the output folder; got {name!r}")
    return name


def _plain(run: dict[str, Any]) -> Any:
    return json.loads(json.dumps(run))


def _key(run: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
