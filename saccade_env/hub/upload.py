"""What was made here goes to the Hub, in one commit; nothing of anybody else's is touched there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from saccade_env.hub.connection import connect, in_words, refuse_offline
from saccade_env.hub.manifest import MANIFEST, README, TYPES, Manifest, Publication

_MADE_BY_THE_HUB = {".gitattributes"}


class Pushed(NamedTuple):
    """Where it is.

    ``card_kept`` says whether ``README.md`` was left as somebody had edited it.
    """

    repo: str
    url: str
    commit: str
    card_kept: bool


def push(
    made: Publication,
    repo: str,
    *,
    private: bool = False,
    branch: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Make the repository if need be, and commit the files, the card and the manifest to it.

    A repository that was not made by this is refused. Of one that was, what the former manifest
    lists is replaced, in a new commit; other files, and a ``README.md`` that was edited, stay.

    Args:
        made: What.
        repo: ``"owner/name"``.
        private: Only for those who may see it; a repository that is public is refused.
        branch: Made if need be; None is the main branch.
        message: Of the commit.

    Raises:
        ConnectionError: The Hub cannot be reached.
        FileNotFoundError: There is no such owner, or nothing for this user.
        OSError: The Hub refuses.
        PermissionError: The token does not let one write there.
        ValueError: The repository is not one of ours, of another kind, public, or no such name.
    """
    api, kind = connect(), TYPES[made.kind]
    with in_words(api, repo, branch):
        refuse_offline()
        address = api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
        _refuse_public(api, repo, kind, private)
        if branch:
            api.create_branch(repo, branch=branch, repo_type=kind, exist_ok=True)
        head = api.repo_info(repo, repo_type=kind, revision=branch)
        before = _before(api, repo, made, head)
        kept = before is not None and _edited(api, repo, kind, head, before)
        try:
            done = api.create_commit(
                repo,
                _operations(made, before, kept),
                commit_message=message or f"Push {made.kind} {made.folder.resolve().name}",
                repo_type=kind,
                revision=branch,
                parent_commit=head.sha,
            )
        except RuntimeError as error:  # the client's, for a file that did not get through
            raise OSError(f"{error} ({error.__cause__}); nothing was committed") from error
    return Pushed(repo, str(address), done.oid, kept)


def _refuse_public(api: Any, repo: str, kind: str, private: bool) -> None:
    if private and not api.repo_info(repo, repo_type=kind).private:
        raise ValueError(
            f"{repo} is public already, so nothing in it is private: make it private in its "
            "settings, or take another --repo"
        )


def _before(api: Any, repo: str, made: Publication, head: Any) -> Manifest | None:
    """What was pushed there before; None for a new repository."""
    kind = made.kind
    held = {file.rfilename for file in head.siblings or ()} - _MADE_BY_THE_HUB
    if not held:
        return None
    if MANIFEST not in held:
        raise ValueError(
            f"{repo} holds {', '.join(sorted(held)[:5])} and no {MANIFEST}: `saccade-env push` has "
            "not made it, and leaves it as it is; take another --repo"
        )
    path = api.hf_hub_download(repo, MANIFEST, repo_type=TYPES[kind], revision=head.sha)
    before = Manifest.read(Path(path), repo)
    if before.kind != kind:
        raise ValueError(
            f"{repo} is of the kind {before.kind!r}, this is of {kind!r}; take another --repo"
        )
    if foreign := sorted(held.intersection(made.names) - before.files.keys()):
        raise ValueError(
            f"{repo} holds {', '.join(foreign[:5])}, which its {MANIFEST} does not list: they are "
            "left as they are; take another --repo"
        )
    return before


def _edited(api: Any, repo: str, kind: str, head: Any, before: Manifest) -> bool:
    if README not in {file.rfilename for file in head.siblings}:
        return False
    path = Path(api.hf_hub_download(repo, README, repo_type=kind, revision=head.sha))
    return hashlib.sha256(path.read_bytes()).hexdigest() != before.card


def _operations(made: Publication, before: Manifest | None, card_kept: bool) -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    manifest = json.dumps(made.manifest().plain(), indent=2) + "\n"
    texts = {MANIFEST: manifest} if card_kept else {MANIFEST: manifest, README: made.card}
    gone = [name for name in (before.files if before else ()) if name not in made.names]
    return [
        *(CommitOperationAdd(name, str(made.folder / name)) for name in made.names),
        *(CommitOperationAdd(name, text.encode()) for name, text in texts.items()),
        *(CommitOperationDelete(name, is_folder=False) for name in gone),
    ]
