"""Files of a repository, in the Hub's cache, each held against the manifest."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from saccade_env.hub.connection import connect, in_words, refuse_offline
from saccade_env.hub.manifest import LARGEST, MANIFEST, TYPES, Kind, Manifest, check_files


class Fetched(NamedTuple):
    """Where files are, in the Hub's cache, and of which commit."""

    folder: Path
    commit: str
    manifest: Manifest


def fetch(
    repo: str,
    revision: str | None = None,
    kind: Kind = "agent",
    only: Collection[str] = (),
    largest: int = LARGEST,
) -> Fetched:
    """Get what :func:`saccade_env.hub.upload.push` has put on the Hub. Nothing is executed.

    What the cache has is not downloaded again; without network it alone is asked.

    Args:
        repo: ``"owner/name"``.
        revision: Branch, tag or commit; None is the main branch.
        kind: What it must be.
        only: Files that are wanted, each of which must be there; by default all that are listed.
        largest: Bytes that the files may have together.

    Raises:
        ConnectionError: Neither Hub nor cache has it.
        FileNotFoundError: There is no such repository, revision or file.
        OSError: A file is not what was pushed, or the Hub refuses; the message names it.
        PermissionError: It is not for this user.
        ValueError: It is none of ours, of another kind, or too large.
    """
    api, where = connect(), f"{repo}@{revision}" if revision else repo
    with in_words(api, repo, revision):
        sizes, trouble = _sizes(api, repo, TYPES[kind], revision)
        get = partial(_get, api, repo, TYPES[kind], trouble)
        if not trouble and MANIFEST not in sizes:
            raise ValueError(
                f"{where} is none of ours: it has no {MANIFEST}, which `saccade-env push` writes"
            )
        _refuse_large(where, sizes, [MANIFEST], largest)
        path = get(MANIFEST, revision)
        manifest = Manifest.read(path, where)
        names = _wanted(manifest, kind, only, where)
        listed = {name: manifest.files[name].size for name in names}
        for told in (sizes, listed):
            _refuse_large(where, told, names, largest)
        for name in names:
            get(name, path.parent.name)
    check_files(path.parent, {name: manifest.files[name] for name in names}, where)
    return Fetched(path.parent, path.parent.name, manifest)


def _sizes(
    api: Any, repo: str, repo_type: str, revision: str | None
) -> tuple[dict[str, int], Exception | None]:
    """Bytes of every file as the Hub has them; or nothing, and why only the cache can be asked."""
    from huggingface_hub import errors

    try:
        refuse_offline()
        info = api.repo_info(repo, repo_type=repo_type, revision=revision, files_metadata=True)
    except errors.HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return {}, error
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:  # the first is the network's
        return {}, error
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}, None


def _get(
    api: Any, repo: str, repo_type: str, trouble: Exception | None, name: str, revision: str | None
) -> Path:
    """A file in the cache, fetched if need be."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    kept = bool(trouble)
    try:
        return Path(
            api.hf_hub_download(
                repo, name, repo_type=repo_type, revision=revision, local_files_only=kept
            )
        )
    except LocalEntryNotFoundError as error:
        raise trouble or error from error


def _refuse_large(where: str, sizes: dict[str, int], names: Collection[str], largest: int) -> None:
    if (total := sum(sizes.get(name, 0) for name in names)) > largest:
        raise ValueError(
            f"{where} has {total / 1e6:.1f} MB in {', '.join(names)}; at most {largest / 1e6:.1f} "
            "MB are taken from the Hub"
        )


def _wanted(manifest: Manifest, kind: str, only: Collection[str], where: str) -> Collection[str]:
    if manifest.kind != kind:
        raise ValueError(f"{where} is of the kind {manifest.kind!r}; expected {kind!r}")
    if lacking := [name for name in only if name not in manifest.files]:
        raise ValueError(
            f"{where} is incomplete: its {MANIFEST} lists no {', '.join(lacking)}, but "
            f"{', '.join(manifest.files) or 'nothing'}"
        )
    return only or manifest.files
