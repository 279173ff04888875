"""The Hub's client, and what goes wrong there said in words.

Where the Hub is (``$HF_ENDPOINT``), who asks (``$HF_TOKEN`` or ``hf auth login``), what is kept
(``$HF_HOME``) and whether the network may be used (``$HF_HUB_OFFLINE``) is the client's own matter.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from saccade_env.classifiers import weights

_LOGIN = "set HF_TOKEN, or run `hf auth login`"


def connect() -> Any:
    """A client of the Hub.

    Raises:
        ImportError: The package is missing; the message gives the install command.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: F401 - of version 1
    except ImportError as error:
        raise ImportError(
            "the Hub needs the package huggingface_hub ≥ 1: pip install 'saccade-env[hub]'"
        ) from error
    return HfApi(
        library_name="saccade-env", library_version=importlib.metadata.version("saccade-env")
    )


def refuse_offline() -> None:
    """Do what the client does with ``$HF_HUB_OFFLINE`` for ``$SACCADE_OFFLINE`` too.

    Raises:
        OfflineModeIsEnabled: The user forbids the network.
    """
    from huggingface_hub.errors import OfflineModeIsEnabled

    if weights.is_offline():
        raise OfflineModeIsEnabled("SACCADE_OFFLINE is set")


@contextmanager
def in_words(api: Any, repo: str, revision: str | None = None) -> Iterator[None]:
    """What the client raises in this block becomes an error that says what to do.

    Raises:
        ConnectionError: The Hub cannot be reached, or must not be, and the cache does not have it.
        FileNotFoundError: There is no such repository, revision or file.
        OSError: The Hub refuses for another reason.
        PermissionError: It is not for this user.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        raise _refused(error, api.endpoint, repo, revision) from error
    except (errors.HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _unreached(error, api.endpoint, repo, revision) from error


def _refused(error: Any, endpoint: str, repo: str, revision: str | None) -> OSError:
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return PermissionError(f"{repo} is gated: ask for access on its page, then {_LOGIN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(f"there is no {repo} on {endpoint}; if it is private, {_LOGIN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(f"{repo} has no revision {revision!r}")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return FileNotFoundError(f"{repo} lacks {error.response.url.path.rpartition('/')[2]}")
    if status in (401, 403):
        return PermissionError(
            f"{endpoint} does not let you do this to {repo} (HTTP {status}): {_LOGIN} with a token "
            "that may"
        )
    if status in (409, 412):
        return OSError(f"somebody else changed {repo} meanwhile (HTTP {status}): try again")
    said = getattr(error, "server_message", None) or error
    return OSError(f"{endpoint} answered HTTP {status} for {repo}: {said}")


def _unreached(error: Exception, endpoint: str, repo: str, revision: str | None) -> OSError:
    from huggingface_hub.errors import OfflineModeIsEnabled

    at = f"{repo}@{revision}" if revision else repo
    if isinstance(error, OfflineModeIsEnabled):
        return ConnectionError(
            f"HF_HUB_OFFLINE or SACCADE_OFFLINE forbids to ask {endpoint} for {at}, and the cache "
            "does not have it: unset it, or copy $HF_HOME from a machine that has it"
        )
    return ConnectionError(f"cannot reach {endpoint} for {at} ({error})")
